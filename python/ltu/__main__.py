"""`python -m ltu COMMAND …`: the installed commands, where their folder is not on the PATH."""

import sys
from importlib import import_module

COMMANDS = {
    "run": ("ltu.cli.run", "answers prompts about recordings"),
    "convert": ("ltu.cli.convert", "makes a model file of checkpoints or of another model file"),
    "train": ("ltu.cli.train", "trains a model from one configuration file"),
    "reformulate": ("ltu.cli.reformulate", "makes interleaved prompts of OpenAQA's questions"),
    "shard": ("ltu.cli.shard", "runs and reports the SHARD benchmark"),
    "serve": ("ltu.cli.serve", "serves decisions and chat over HTTP"),
}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        del sys.argv[1]
        import_module(COMMANDS[name][0]).main()
    elif name == "--version":
        import_module(COMMANDS["run"][0]).main()
    elif name in ("-h", "--help"):
        print("usage: python -m ltu COMMAND …, the same as ltu-COMMAND …\n")
        for command, (_, what) in COMMANDS.items():
            print(f"  {command:12} {what}")
        print("\nCOMMAND --help lists its options, --version shows what is installed.")
    else:
        print(f"error: there is no command {name}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
