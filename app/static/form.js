// Asks POST /predict what the form says, and shows the answer, or each fault beside its field.

const form = document.querySelector("form");
const fields = [...form.querySelectorAll("[name]")];
const result = document.querySelector("#result");

const round = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });

function value(field) {
  if (field.value === "") return null;
  return field.type === "number" ? Number(field.value) : field.value;
}

function blame(field, text) {
  document.getElementById(`${field.id}-error`).textContent = text;
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function paragraph(text, tag = "p") {
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
  const price = document.createElement("p");
  price.append(paragraph(`${round.format(answer.prediction[0])} ${unit}`, "output"));
  const warnings = answer.warnings.map((warning) => paragraph(
    `Less certain: ${warning.field} is ${warning.found}, not ${warning.wanted}.`));
  show("answer", price, paragraph(`${form.dataset.interval}: ${low} to ${high} ${unit}`), ...warnings);
}

function showProblem(problem) {
  const faults = problem.errors ?? [];
  for (const fault of faults) {
    const field = fields.find((candidate) => candidate.name === fault.field);
    if (field) blame(field, fault.found === "null" ? `Needed: ${fault.wanted}.` : `Found ${fault.found}, wanted ${fault.wanted}.`);
  }
  show("problem", paragraph(problem.detail));
  form.querySelector("[aria-invalid]")?.focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fields.forEach((field) => blame(field, ""));
  const features = Object.fromEntries(fields.map((field) => [field.name, value(field)]));
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
    show("problem", paragraph(`The service did not answer: ${error.message}.`));
  }
});

form.addEventListener("reset", () => {
  fields.forEach((field) => blame(field, ""));
  result.hidden = true;
});

document.querySelector("#typical").addEventListener("click", () => {
  for (const field of fields) field.value = field.dataset.typical;
});
