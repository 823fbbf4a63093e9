// Filters the rows of the verdict ledger. Without scripts the table is simply complete.
(() => {
  const table = document.querySelector("table.verdict-ledger");
  if (!table) return;
  const rows = [...table.tBodies[0].rows].map((row) => ({
    row,
    text: row.textContent.toLowerCase(),
    paper: row.cells[0].textContent.trim(),
    verdict: row.querySelector(".verdict").textContent.trim(),
    primary: row.classList.contains("claim-primary"),
  }));

  const form = document.createElement("form");
  form.className = "ledger-filter";
  form.setAttribute("role", "search");
  form.setAttribute("aria-label", "Filter the verdicts");
  form.addEventListener("submit", (event) => event.preventDefault());

  const labelled = (text, control) => {
    const label = document.createElement("label");
    label.append(text, control);
    form.append(label);
    control.addEventListener("input", apply);
    return control;
  };
  const choice = (text, values) => {
    const select = document.createElement("select");
    select.append(new Option("all", ""));
    for (const value of [...new Set(values)].sort()) select.append(new Option(value, value));
    return labelled(text, select);
  };

  const search = labelled("Words", Object.assign(document.createElement("input"), { type: "search" }));
  const paper = choice("Paper", rows.map((row) => row.paper));
  const verdict = choice("Verdict", rows.map((row) => row.verdict));
  const primary = labelled("primary claims only", Object.assign(document.createElement("input"), { type: "checkbox" }));
  primary.parentElement.className = "ledger-check";
  primary.parentElement.prepend(primary);
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  form.append(status);

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const entry of rows) {
      const keep =
        words.every((word) => entry.text.includes(word)) &&
        (!paper.value || paper.value === entry.paper) &&
        (!verdict.value || verdict.value === entry.verdict) &&
        (!primary.checked || entry.primary);
      entry.row.hidden = !keep;
      shown += keep;
    }
    status.textContent = `${shown} of ${rows.length} claims`;
  }

  (table.closest(".pst-scrollable-table-container") || table).before(form);
  apply();
})();
