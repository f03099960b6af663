"use strict";

// What the pages do not need, but their readers like: times in their own zone, a submission that tells when
// it is scored, progress while a file is sent. Every page works without this.

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-day])")) {
    const moment = new Date(time.dateTime);
    if (moment.getTimezoneOffset() === 0) continue;
    const here = document.createElement("span");
    here.className = "here";
    here.textContent = ` (${moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })} here)`;
    time.after(here);
  }
}

function selectOnFocus(root) {
  for (const input of root.querySelectorAll("input.copy")) input.addEventListener("focus", () => input.select());
}

function follow(live) {
  const line = document.getElementById("status");
  const began = Date.now();
  async function ask() {
    try {
      const answer = await fetch(live.dataset.status, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const found = await answer.json();
        if (found.state !== "queued" && found.state !== "scoring") return location.reload();
        const waiting = found.place === 1 ? "Next in the queue…" : `Place ${found.place} in the queue…`;
        const said = found.state === "scoring" ? "Being scored…" : waiting;
        if (line.textContent !== said) line.textContent = said;
      }
    } catch {
      // The board is away for a moment; ask again.
    }
    setTimeout(ask, Date.now() - began < 30000 ? 1000 : 5000);
  }
  setTimeout(ask, 700);
}

function showMain(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  document.title = page.title;
  document.getElementById("main").replaceChildren(...page.getElementById("main").children);
  start();
  const first = document.getElementById("problems") || document.getElementById("main");
  first.focus({ preventScroll: true });
  first.scrollIntoView();
}

function sendWithProgress(form) {
  const place = document.getElementById("progress");
  const [bar, words] = place.children;
  const button = form.querySelector("button");
  const most = Number(form.dataset.most);
  form.addEventListener("submit", (event) => {
    const file = form.elements.file.files[0];
    event.preventDefault();
    place.hidden = false;
    if (file.size > most) {
      bar.hidden = true;
      words.textContent = `This file has ${file.size.toLocaleString("en")} bytes; at most ${most.toLocaleString("en")} are taken.`;
      return;
    }
    const request = new XMLHttpRequest();
    request.open("POST", form.action || location.href);
    bar.hidden = false;
    button.disabled = true;
    request.upload.addEventListener("progress", (now) => {
      if (!now.lengthComputable) return;
      bar.value = now.loaded / now.total;
      words.textContent = now.loaded < now.total ? `${Math.floor((100 * now.loaded) / now.total)} %` : "Checking…";
    });
    request.addEventListener("load", () => {
      if (request.status === 200) location.href = request.responseURL;
      else showMain(request.responseText);
    });
    request.addEventListener("error", () => {
      button.disabled = false;
      bar.hidden = true;
      words.textContent = "The connection broke. Sending the same file again makes no second submission.";
    });
    request.send(new FormData(form));
  });
}

function start() {
  const main = document.getElementById("main") || document;
  showLocalTimes(main);
  selectOnFocus(main);
  const live = document.getElementById("live");
  if (live) follow(live);
  const upload = document.getElementById("upload");
  if (upload) sendWithProgress(upload);
}

start();
