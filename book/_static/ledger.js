// Filters and sorts the rows of the verdict ledger; the address keeps both, so a view can be sent.
// Without scripts the table is simply complete.
(() => {
  const table = document.querySelector("table.verdict-ledger");
  if (!table) return;
  const body = table.tBodies[0];
  const MEASURED = 3;
  const rows = [...body.rows].map((row) => ({
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
  form.addEventListener("reset", () => {
    sorted = null;
    setTimeout(apply); // after the controls have their first values again
  });

  const labelled = (text, name, control) => {
    const label = document.createElement("label");
    control.name = name;
    label.append(text, control);
    form.append(label);
    control.addEventListener("input", apply);
    return control;
  };
  const choice = (text, name, values) => {
    const select = document.createElement("select");
    select.append(new Option("all", ""));
    for (const value of [...new Set(values)].sort()) select.append(new Option(value, value));
    return labelled(text, name, select);
  };
  const input = (type) => Object.assign(document.createElement("input"), { type });
  const button = (text, type) => Object.assign(document.createElement("button"), { textContent: text, type });

  const search = labelled("Words", "words", input("search"));
  const paper = choice("Paper", "paper", rows.map((entry) => entry.paper));
  const verdict = choice("Verdict", "verdict", rows.map((entry) => entry.verdict));
  const all = labelled("not only primary claims", "all", input("checkbox"));
  all.parentElement.className = "ledger-check";
  all.parentElement.prepend(all);
  form.append(button("Reset", "reset"));
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  form.append(status);

  // A click on a heading sorts by its column, a second one the other way, a third one not at all.
  let sorted = null;
  const headings = [...table.tHead.rows[0].cells].map((cell, column) => {
    const control = button(cell.textContent.trim(), "button");
    control.addEventListener("click", () => {
      const first = column === MEASURED; // the largest effects come first
      if (sorted?.column !== column) sorted = { column, down: first };
      else sorted = sorted.down === first ? { column, down: !first } : null;
      apply();
    });
    cell.replaceChildren(control);
    return cell;
  });

  // The measured column has several units, which are kept apart.
  const keys = (entry, { column, down }) => {
    const text = entry.row.cells[column].querySelector("p")?.textContent.trim() ?? "";
    if (column !== MEASURED) return [text.toLowerCase()];
    const found = text.match(/^([×]?)([+−-]?[\d.,]+(?:e[+-]?\d+)?)(.*)/);
    if (!found) return [2, "", 0];
    const number = Number(found[2].replace("−", "-").replace(/[+,](?=\d)/g, ""));
    return [found[1] ? 1 : 0, found[3], down ? -number : number];
  };
  const order = (given) => (one, other) => {
    const [a, b] = [keys(one, given), keys(other, given)];
    const place = a.findIndex((key, index) => key !== b[index]);
    if (place < 0) return 0;
    const up = a[place] < b[place] ? -1 : 1;
    return given.down && given.column !== MEASURED ? -up : up;
  };

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const entry of rows) {
      const kept =
        words.every((word) => entry.text.includes(word)) &&
        (!paper.value || paper.value === entry.paper) &&
        (!verdict.value || verdict.value === entry.verdict) &&
        (all.checked || verdict.value || entry.primary);
      entry.row.hidden = !kept;
      shown += Boolean(kept);
    }
    body.append(...(sorted ? [...rows].sort(order(sorted)) : rows).map((entry) => entry.row));
    headings.forEach((cell, column) => {
      if (sorted?.column === column) cell.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    const by = sorted ? `, by ${headings[sorted.column].textContent.toLowerCase()}` : "";
    const advice = all.checked ? "Use other words, or reset." : "Use other words, tick “not only primary claims”, or reset.";
    status.textContent = `${shown} of ${rows.length} claims${by}${shown ? "" : `: none fits. ${advice}`}`;
    remember();
  }

  // What differs from the first view is in the address: ?paper=SAM&all=on&sort=3-
  function remember() {
    const given = new URLSearchParams([...new FormData(form)].filter(([, text]) => text));
    if (sorted) given.set("sort", `${sorted.column}${sorted.down ? "-" : ""}`);
    const query = given.toString();
    try {
      history.replaceState(null, "", `${location.pathname}${query && `?${query}`}${location.hash}`);
    } catch {
      // a page without an origin of its own may not change its address
    }
  }

  function restore() {
    const given = new URLSearchParams(location.search);
    for (const control of [search, paper, verdict]) control.value = given.get(control.name) || "";
    for (const select of [paper, verdict]) if (select.selectedIndex < 0) select.value = "";
    all.checked = given.has("all");
    const sort = given.get("sort") || "";
    sorted = /^[0-5]-?$/.test(sort) ? { column: Number(sort[0]), down: sort.endsWith("-") } : null;
  }

  // A link to a row shows it, whatever the filter.
  function follow() {
    const entry = rows.find(({ row }) => `#${row.id}` === location.hash);
    if (!entry) return;
    if (entry.row.hidden) {
      for (const control of [search, paper, verdict]) control.value = "";
      all.checked = true;
      apply();
    }
    entry.row.scrollIntoView();
  }

  const view = () => [restore, apply, follow].forEach((step) => step());
  (table.closest(".pst-scrollable-table-container") || table).before(form);
  view();
  addEventListener("popstate", view);
})();
