// What the pages of condagate do beyond HTML: copying, filtering as one types (htmx), uploads with progress.
(() => {
  "use strict";
  const on = (what, act) => document.addEventListener(what, act);
  const say = (text) => {
    const place = document.getElementById("said");
    if (place) place.textContent = text;
  };

  // Copy buttons are hidden without this script.
  const reveal = (root) => root.querySelectorAll(".copy[hidden]").forEach((button) => { button.hidden = false; });
  const copied = (button) => {
    const label = button.querySelector("span");
    const before = label.textContent;
    label.textContent = "Copied";
    say("Copied");
    setTimeout(() => { label.textContent = before; }, 1600);
  };
  const selected = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };
  on("click", (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const from = button.closest(".code").querySelector("pre");
    // The clipboard of the browser needs https or this machine; the old way works everywhere.
    const old = () => { selected(from); if (document.execCommand("copy")) copied(button); };
    if (navigator.clipboard) navigator.clipboard.writeText(from.textContent).then(() => copied(button), old);
    else old();
  });

  // One open panel at a time; Escape and a click beside it close it.
  const panels = () => document.querySelectorAll("details.menu[open], details.ask[open]");
  on("click", (event) => panels().forEach((panel) => { if (!panel.contains(event.target)) panel.open = false; }));
  on("keydown", (event) => {
    if (event.key === "Escape") panels().forEach((panel) => { panel.open = false; panel.querySelector("summary").focus(); });
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    const find = document.querySelector("input[data-slash]");
    if (event.key === "/" && !typing && find) { event.preventDefault(); find.focus(); }
  });

  // Uploads: each file in a request of its own.
  const size = (n) => n < 1024 ? `${n} B` : n < 1048576 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1048576).toFixed(1)} MiB`;
  const row = (list, file) => {
    const item = document.createElement("li");
    const [name, state, bar] = ["span", "span", "progress"].map((tag) => document.createElement(tag));
    name.textContent = `${file.name} (${size(file.size)})`;
    state.className = "tag";
    state.textContent = "waiting";
    bar.max = 100;
    bar.value = 0;
    bar.setAttribute("aria-label", `Progress of ${file.name}`);
    item.append(name, state, bar);
    list.append(item);
    return { bar, state, end(kind, text) {
      state.className = `tag ${kind}`;
      state.textContent = kind === "good" ? "published" : "refused";
      bar.remove();
      const said = document.createElement("span");
      said.className = "small dim";
      said.textContent = text;
      item.append(said);
      say(`${file.name}: ${text}`);
    } };
  };
  const send = (form, file, shown) => new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) shown.bar.value = 100 * event.loaded / event.total;
      shown.state.textContent = event.loaded < event.total ? "sending" : "checking";
    });
    request.addEventListener("loadend", () => {
      let told = null;
      try { told = JSON.parse(request.responseText); } catch { /* Not from the gate, or nothing came. */ }
      const text = told ? told.detail : "The connection broke; nothing was published.";
      shown.end(request.status >= 200 && request.status < 300 ? "good" : "bad", text);
      done();
    });
    const body = new FormData();
    for (const name of ["csrf", "channel", "labels"]) body.append(name, form.elements[name].value);
    body.append("file", file);
    request.send(body);
  });
  const uploads = (form) => {
    const zone = form.querySelector(".drop");
    const picked = form.querySelector("input[type=file]");
    const list = form.querySelector(".files");
    let line = Promise.resolve();
    const take = (files) => {
      for (const file of files) {
        const shown = row(list, file);
        line = line.then(() => send(form, file, shown));
      }
      picked.value = "";
    };
    form.querySelector("button[type=submit]").hidden = true;
    picked.addEventListener("change", () => take([...picked.files]));
    for (const what of ["dragenter", "dragover"]) zone.addEventListener(what, (event) => { event.preventDefault(); zone.classList.add("over"); });
    for (const what of ["dragleave", "drop"]) zone.addEventListener(what, () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => { event.preventDefault(); take([...event.dataTransfer.files]); });
    form.addEventListener("submit", (event) => event.preventDefault());
  };

  reveal(document);
  document.querySelectorAll("form[data-upload]").forEach(uploads);
  on("htmx:after:swap", () => reveal(document));
})();
