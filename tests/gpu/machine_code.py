"""Registers, spills and instructions of our kernels, read from their object files; wrong ones end it with 1.

python tests/gpu/machine_code.py FILE.cu.o … (cuobjdump and nvdisasm on the PATH)
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

NEEDED = {"attend": ("HMMA", "LDGSTS", "LDSM")}  # products of tensor cores, asynchronous copies, their loads
SPILLS = ("LDL", "STL")  # loads and stores of a thread's own memory
USAGE = re.compile(r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+)")
INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9]*)")


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def short(name: str) -> str:
    """`_ZN3ltu4cuda…6attendILi128EEEv…` → attend<128>."""
    plain = output("c++filt", name).replace("(anonymous namespace)::", "")
    return plain.split("(")[0].split("::")[-1].split()[-1]


def main(files: list[str]) -> int:
    problems, found = [], set()
    for file in files:
        code: dict[str, Counter[str]] = {}
        for part in output("cuobjdump", "-sass", file).split("Function : ")[1:]:
            name, _, text = part.partition("\n")
            code[name.strip()] = Counter(INSTRUCTION.findall(text))
        for mangled, registers, stack, shared in USAGE.findall(output("cuobjdump", "-res-usage", file)):
            name, counts = short(mangled), code.get(mangled, Counter())
            kernel = name.split("<")[0]
            found.add(kernel)
            needed = NEEDED.get(kernel, ())
            about = "".join(f", {counts[op]} {op}" for op in needed)
            print(
                f"{Path(file).stem}: {name}: {registers} registers, {shared} bytes shared, "
                f"{sum(counts.values())} instructions{about}"
            )
            if not counts:
                problems.append(f"{name}: no instructions were read")
            if int(stack) or any(counts[op] for op in SPILLS):
                spilt = ", ".join(f"{counts[op]} {op}" for op in SPILLS)
                problems.append(f"{name}: spills: {stack} bytes of stack, {spilt}")
            problems += [f"{name}: no {op}" for op in needed if not counts[op]]
    problems += [f"there is no kernel {kernel}" for kernel in NEEDED if kernel not in found]
    print("\n".join(problems) or "no spills, and every instruction that is needed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
