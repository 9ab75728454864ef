// Sends the form to POST /predict, and shows the prediction, or each error beside its field.

const form = document.querySelector("form");
const fields = [...form.querySelectorAll("[name]")];
const result = document.querySelector("#result");

const round = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });

function readValue(field) {
  if (field.value === "") return null;
  return field.type === "number" ? Number(field.value) : field.value;
}

function showFault(field, text) {
  document.getElementById(`${field.id}-error`).textContent = text;
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function makeParagraph(text, tag = "p") {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function show(kind, ...lines) {
  result.className = kind;
  result.replaceChildren(...lines);
  result.hidden = false;
}

function showAnswer(answer) {
  const unit = answer.unit ?? "";
  const [low, high] = answer.interval[0].map((bound) => round.format(bound));
  const prediction = document.createElement("p");
  prediction.append(makeParagraph(`${round.format(answer.prediction[0])} ${unit}`, "output"));
  const warnings = answer.warnings.map((warning) => makeParagraph(
    `Less certain: ${warning.field} is ${warning.found}, not ${warning.wanted}.`));
  show("answer", prediction, makeParagraph(`${form.dataset.interval}: ${low} to ${high} ${unit}`), ...warnings);
}

function showProblem(problem) {
  const faults = problem.errors ?? [];
  for (const fault of faults) {
    const field = fields.find((candidate) => candidate.name === fault.field);
    if (field) showFault(field, fault.found === "null" ? `Needed: ${fault.wanted}.` : `Found ${fault.found}, wanted ${fault.wanted}.`);
  }
  show("problem", makeParagraph(problem.detail));
  form.querySelector("[aria-invalid]")?.focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fields.forEach((field) => showFault(field, ""));
  const features = Object.fromEntries(fields.map((field) => [field.name, readValue(field)]));
  try {
    const reply = await fetch("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ features }),
    });
    const content = await reply.json();
    if (reply.ok) showAnswer(content);
    else showProblem(content);
  } catch (error) {
    show("problem", makeParagraph(`The service did not answer: ${error.message}.`));
  }
});

form.addEventListener("reset", () => {
  fields.forEach((field) => showFault(field, ""));
  result.hidden = true;
});

document.querySelector("#typical").addEventListener("click", () => {
  for (const field of fields) field.value = field.dataset.typical;
});
