// The page: a sound, a question that holds it, and what the model answers, in both formats.
const $ = (id) => document.getElementById(id);
const AUDIO = "[AUDIO]";
const HEARD = 10.24; // seconds that the model hears
const EXAMPLES = { dog: "4-183992-A", rooster: "4-164859-A", helicopter: "4-125929-A", clock: "4-175945-A", sneeze: "4-156843-A", rain: "4-160999-A" };
const state = { model: null, hash: null, name: "sound.wav", seconds: 0, recording: null };

// --- Asking the server

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  if ($("key").value) headers.Authorization = `Bearer ${$("key").value}`;
  const response = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  if (response.ok) return response;
  const { error } = await response.json();
  if (response.status === 401) $("key-row").hidden = false;
  throw Object.assign(new Error(error.message), { code: error.code });
}

async function learnModel() {
  const { data: [about] } = await (await call("/v1/models")).json();
  state.model = about.id;
  $("about").textContent = `${about.meta.name ?? about.id}: ask about a sound of at most ten seconds.`;
}

const said = (text) => ({ type: "text", text });
const heard = () => ({ type: "input_audio", input_audio: { hash: state.hash } });

function content(prompt, part = heard) {
  return prompt.split(AUDIO).flatMap((text, place) => [...(place ? [part()] : []), ...(text ? [said(text)] : [])]);
}

const formats = () => [
  { format: "interleaved", prompt: $("prompt").value },
  { format: "prepended", prompt: $("prompt").value.replaceAll(AUDIO, "this sound") },
];

const body = ({ format, prompt }, part = heard) => ({
  model: state.model,
  messages: [{ role: "user", content: format === "prepended" ? [part(), said(prompt)] : content(prompt, part) }],
  n: 4, seed: 0, logprobs: true, ltu: { format },
});

// --- The sound

async function take(bytes, name) {
  $("heard").textContent = "Reading …";
  try {
    let told = await upload(bytes).catch(async (error) => {
      if (error.code !== "invalid_audio") throw error;
      return upload(await converted(bytes)); // what the browser can play and the server can't
    });
    Object.assign(state, { hash: told.hash, name });
    $("player").src = URL.createObjectURL(new Blob([bytes]));
    $("player").hidden = $("picture").hidden = false;
    $("heard").textContent = [`${name}: ${told.seconds.toFixed(2)} s are heard`, ...told.notes].join("; ");
    picture(told);
  } catch (error) {
    $("heard").textContent = `${name}: ${error.message}`;
  }
  ready();
}

async function upload(bytes) {
  return (await call("/ltu/clips", { data: base64(bytes) })).json();
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}

async function converted(bytes) {
  const context = new AudioContext();
  try {
    const decoded = await context.decodeAudioData(bytes.slice().buffer);
    return wav(decoded.getChannelData(0), decoded.sampleRate);
  } catch {
    throw new Error("neither the server nor this browser can read it");
  } finally {
    await context.close();
  }
}

function wav(samples, rate) { // float32, mono
  const view = new DataView(new ArrayBuffer(44 + 4 * samples.length));
  const text = (at, value) => [...value].forEach((c, n) => view.setUint8(at + n, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, view.byteLength - 8, true); text(8, "WAVEfmt ");
  [[16, 16, 32], [20, 3, 16], [22, 1, 16], [24, rate, 32], [28, 4 * rate, 32], [32, 4, 16], [34, 32, 16]]
    .forEach(([at, value, bits]) => view[`setUint${bits}`](at, value, true));
  text(36, "data"); view.setUint32(40, 4 * samples.length, true);
  new Float32Array(view.buffer, 44).set(samples);
  return new Uint8Array(view.buffer);
}

async function record() {
  if (state.recording) return state.recording.stop();
  if (!navigator.mediaDevices) {
    $("heard").textContent = "The browser gives its microphone to https pages and to localhost only: open this page as http://localhost, or choose a file.";
    return;
  }
  let stream;
  try { // features are absolute levels: nothing may turn the volume or take noise away
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    stream = await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    $("heard").textContent = `No microphone: ${error.message}`;
    return;
  }
  const context = new AudioContext();
  await context.audioWorklet.addModule("/page/recorder.js");
  const node = new AudioWorkletNode(context, "recorder");
  const pieces = [];
  let count = 0;
  const stop = async () => {
    if (!state.recording) return;
    state.recording = null;
    $("record").textContent = "Record";
    node.port.onmessage = null;
    stream.getTracks().forEach((track) => track.stop());
    const rate = context.sampleRate;
    await context.close();
    const samples = new Float32Array(count);
    pieces.reduce((at, piece) => (samples.set(piece, at), at + piece.length), 0);
    await take(wav(samples, rate), "recording.wav");
  };
  state.recording = { stop };
  node.port.onmessage = ({ data }) => {
    pieces.push(data);
    count += data.length;
    const left = HEARD - count / context.sampleRate;
    $("record").textContent = `Stop (${Math.max(0, left).toFixed(1)} s left)`;
    if (left <= 0) stop();
  };
  context.createMediaStreamSource(stream).connect(node);
}

// --- Its picture

const VIRIDIS = [[68, 1, 84], [70, 50, 126], [54, 92, 141], [39, 127, 142], [31, 161, 135], [74, 193, 109], [160, 218, 57], [253, 231, 37]];

function colour(value) {
  const place = value / 255 * (VIRIDIS.length - 1), low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[low].map((channel, n) => channel + (VIRIDIS[low + 1][n] - channel) * (place - low));
}

function picture({ frames, mels, log_mel, seconds }) {
  const values = Uint8Array.from(atob(log_mel), (c) => c.charCodeAt(0));
  const canvas = $("mel"), image = new ImageData(frames, mels);
  Object.assign(canvas, { width: frames, height: mels });
  for (let t = 0; t < frames; t++)
    for (let m = 0; m < mels; m++)
      image.data.set([...(t < 100 * seconds ? colour(values[t * mels + m]) : [128, 128, 128]), 255], 4 * ((mels - 1 - m) * frames + t));
  canvas.getContext("2d").putImageData(image, 0, 0);
  const follow = () => {
    $("playhead").style.left = `${100 * $("player").currentTime / Math.max(HEARD, state.seconds)}%`;
    if (!$("player").paused) requestAnimationFrame(follow);
  };
  $("player").onplay = $("player").onseeked = follow;
  $("player").onloadedmetadata = () => {
    state.seconds = Number.isFinite($("player").duration) ? $("player").duration : HEARD;
    const whole = Math.max(HEARD, state.seconds);
    canvas.style.width = `${100 * HEARD / whole}%`;
    $("unheard").style.width = `${100 * (1 - HEARD / whole)}%`;
    follow();
  };
}

// --- The question

function draw(focus = -1) {
  const text = $("prompt").value, box = $("chips");
  let at = 0, chip = 0;
  box.replaceChildren();
  for (const part of text.split(/(\[AUDIO\]|\s+)/)) {
    if (!part) continue;
    const place = at;
    at += part.length;
    if (part !== AUDIO) {
      const word = document.createElement("span");
      word.textContent = part;
      word.dataset.at = place;
      box.append(word);
      continue;
    }
    const button = document.createElement("button"), number = chip++;
    Object.assign(button, { type: "button", className: "chip", textContent: "AUDIO" });
    button.setAttribute("aria-label", `AUDIO ${number + 1}, at character ${place}; arrow keys move it`);
    button.onkeydown = (event) => keyed(event, place);
    button.onpointerdown = (event) => dragged(event, button, place);
    box.append(button);
    if (place === focus) button.focus();
  }
  history.replaceState(null, "", `#${encodeURIComponent(text)}`);
  ready();
}

function move(from, to) { // `to`: a place in the text without this [AUDIO]
  const rest = $("prompt").value.slice(0, from) + $("prompt").value.slice(from + AUDIO.length);
  const place = Math.max(0, Math.min(rest.length, to));
  $("prompt").value = rest.slice(0, place) + AUDIO + rest.slice(place);
  draw(place);
}

function keyed(event, place) {
  const rest = $("prompt").value.slice(0, place) + $("prompt").value.slice(place + AUDIO.length);
  const word = { ArrowLeft: rest.slice(0, place).search(/\S+\s*$/), ArrowRight: place + (rest.slice(place).match(/^\s*\S+/)?.[0].length ?? 0) };
  const to = {
    ArrowLeft: event.shiftKey ? place - 1 : Math.max(0, word.ArrowLeft),
    ArrowRight: event.shiftKey ? place + 1 : word.ArrowRight,
    Home: 0, End: rest.length,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  move(place, to);
}

function dragged(event, chip, place) {
  chip.setPointerCapture(event.pointerId);
  chip.classList.add("moved");
  let to = null;
  chip.onpointermove = ({ clientX, clientY }) => {
    const word = document.elementsFromPoint(clientX, clientY).find((e) => e.dataset.at !== undefined);
    if (!word) return;
    const { left, width } = word.getBoundingClientRect(), start = Number(word.dataset.at);
    to = clientX < left + width / 2 ? start : start + word.textContent.length;
  };
  chip.onpointerup = chip.onpointercancel = () => {
    chip.classList.remove("moved");
    chip.onpointermove = null;
    if (to !== null) move(place, to > place ? to - AUDIO.length : to);
  };
}

function ready() {
  $("ask").disabled = !(state.model && state.hash && $("prompt").value.includes(AUDIO));
}

// --- The answers

async function ask() {
  $("ask").disabled = true;
  $("state").textContent = "Asking …";
  $("columns").replaceChildren();
  try {
    await Promise.all(formats().map(answered));
    $("state").textContent = "Answered.";
  } catch (error) {
    $("state").textContent = error.message;
  }
  ready();
}

async function answered(one) {
  const column = element("article", $("columns"));
  element("h3", column, one.format === "prepended" ? "Sound before the text" : "Sound in the text");
  element("p", column, one.prompt).className = "hint";
  const live = element("ol", column);
  live.setAttribute("aria-live", "polite");
  live.setAttribute("aria-label", "Four sampled answers");
  const lines = [0, 1, 2, 3].map(() => element("li", live, ""));
  const question = { type: "predicate", instructions: one.format === "prepended" ? one.prompt : content(one.prompt), ltu: { term: $("term").value } };
  const input = one.format === "prepended" ? [{ role: "user", content: [heard()] }] : "";
  const decided = call("/v1/decisions", { model: state.model, input, questions: [question], ltu: { format: one.format } });
  const tokens = [[], [], [], []];
  await streamed(await call("/v1/chat/completions", { ...body(one), stream: true }), ({ index, delta, logprobs }) => {
    lines[index].textContent += delta.content ?? "";
    tokens[index].push(...(logprobs?.content ?? []).map(({ token }) => token));
  });
  tree(column, tokens);
  const { answers: [answer] } = await (await decided).json();
  bar(column, "As decided (temperature 1)", answer.ltu);
  bar(column, "As sampled", answer.ltu.as_sampled);
  if (answer.type === "refusal") element("p", column, answer.ltu.reason).className = "hint";
}

async function streamed(response, use) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let held = "", read; !(read = await reader.read()).done;) {
    const events = (held + read.value).split("\n\n");
    held = events.pop();
    for (const event of events.map((line) => line.slice(6)).filter((data) => data !== "[DONE]")) {
      const { choices, error } = JSON.parse(event);
      if (error) throw new Error(error.message);
      choices.forEach(use);
    }
  }
}

function element(tag, parent, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function bar(column, title, masses) {
  const names = ["yes", "neither", "undecided", "no"];
  element("p", column, title).className = "hint";
  const row = element("div", column), numbers = names.map((name) => `${name} ${(100 * masses[name]).toFixed(1)} %`).join(" · ");
  row.className = "bar";
  row.setAttribute("role", "img");
  row.setAttribute("aria-label", numbers);
  for (const name of names) {
    const part = element("span", row);
    part.className = name;
    part.style.width = `${100 * masses[name]}%`;
  }
  element("p", column, numbers).className = "numbers";
}

function trie(answers) { // what begins alike is one branch
  const branches = new Map();
  for (const [first, ...rest] of answers.filter((tokens) => tokens.length))
    branches.set(first, [...(branches.get(first) ?? []), rest]);
  return [...branches].map(([token, rests]) => {
    let text = token, below = rests;
    while (below.length && below.every((rest) => rest.length && rest[0] === below[0][0])) {
      text += below[0][0];
      below = below.map((rest) => rest.slice(1));
    }
    return { text, count: rests.length, children: trie(below) };
  });
}

function tree(column, answers) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const add = (tag, attributes, text) => {
    const made = document.createElementNS(svg.namespaceURI, tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    if (text) made.textContent = text;
    svg.append(made);
  };
  let row = 0, wide = 0;
  const label = ({ text, count }) => text.trim() + (count > 1 ? ` ×${count}` : "");
  const place = (node, x) => {
    const first = row, length = 8 * label(node).length + 12;
    node.children.forEach((child) => place(child, x + 40 + length));
    if (!node.children.length) row++;
    node.y = node.children.length ? (node.children[0].y + node.children.at(-1).y) / 2 : 14 + 28 * first;
    node.x = x;
    node.end = x + length;
    wide = Math.max(wide, node.end);
  };
  const paint = (node, x, y) => {
    add("path", { d: `M${x} ${y}C${x + 18} ${y} ${node.x - 18} ${node.y} ${node.x - 4} ${node.y}`, "stroke-width": 2 * node.count });
    add("text", { x: node.x, y: node.y + 4 }, label(node));
    node.children.forEach((child) => paint(child, node.end, node.y));
  };
  const roots = trie(answers);
  roots.forEach((node) => place(node, 40));
  const middle = roots.length ? (roots[0].y + roots.at(-1).y) / 2 : 14;
  roots.forEach((node) => paint(node, 8, middle));
  svg.setAttribute("viewBox", `0 0 ${wide + 40} ${28 * Math.max(1, row) + 4}`);
  svg.setAttribute("width", wide + 40);
  svg.setAttribute("class", "tree");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `The four answers as a tree with ${row} ends`);
  const scroll = element("div", column);
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.append(svg);
}

// --- Copies

function copied(text) {
  navigator.clipboard?.writeText(text).then(() => ($("state").textContent = "Copied."), () => ($("state").textContent = text))
    ?? ($("state").textContent = text);
}

function curl() {
  const part = () => ({ type: "input_audio", input_audio: { data: "@DATA@", format: "wav" } });
  const [before, after] = JSON.stringify(body(formats()[0], part)).replaceAll("'", "'\\''").split("@DATA@");
  return `printf '%s' '${before}'"$(base64 < '${state.name}' | tr -d '\\n')"'${after}' | \\\n` +
    `  curl -s ${location.origin}/v1/chat/completions -H 'Content-Type: application/json' -d @-\n`;
}

function python() {
  const parts = content($("prompt").value, () => "AUDIO").map((p) => (p === "AUDIO" ? "audio" : JSON.stringify(p))).join(", ");
  return `import base64, openai\n\nclient = openai.OpenAI(base_url="${location.origin}/v1", api_key="none")\n` +
    `data = base64.b64encode(open(${JSON.stringify(state.name)}, "rb").read()).decode()\n` +
    `audio = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}\n` +
    `answer = client.chat.completions.create(\n    model=${JSON.stringify(state.model)}, n=4, seed=0,\n` +
    `    messages=[{"role": "user", "content": [${parts}]}],\n)\nfor choice in answer.choices:\n    print(choice.message.content)\n`;
}

// --- What the user does

const takeFile = async (file) => file && take(new Uint8Array(await file.arrayBuffer()), file.name || "pasted sound");
$("record").onclick = record;
$("file").onchange = ({ target }) => takeFile(target.files[0]);
$("ask").onclick = ask;
$("prompt").oninput = () => draw();
$("copy-curl").onclick = () => copied(curl());
$("copy-python").onclick = () => copied(python());
$("key").onchange = () => learnModel().then(ready);
addEventListener("paste", ({ clipboardData }) => takeFile([...clipboardData.files][0]));
$("drop").ondragover = (event) => { event.preventDefault(); $("drop").classList.add("over"); };
$("drop").ondragleave = () => $("drop").classList.remove("over");
$("drop").ondrop = (event) => { event.preventDefault(); $("drop").classList.remove("over"); takeFile(event.dataTransfer.files[0]); };
for (const [name, file] of Object.entries(EXAMPLES)) {
  const button = element("button", $("examples"), name);
  button.type = "button";
  button.onclick = async () => take(new Uint8Array(await (await fetch(`/page/clips/${file}.ogg`)).arrayBuffer()), `${name}.ogg`);
}
$("prompt").value = decodeURIComponent(location.hash.slice(1)) || `Is ${AUDIO} a type of animal?`;
draw();
learnModel().then(ready, (error) => ($("state").textContent = error.message));
