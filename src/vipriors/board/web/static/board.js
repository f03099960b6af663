"use strict";

// What pages do not need but readers like: times in their own zone.

for (const time of document.querySelectorAll("time[datetime]:not([data-day])")) {
  const moment = new Date(time.dateTime);
  const local = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  if (moment.getTimezoneOffset() !== 0) {
    const here = document.createElement("span");
    here.className = "here";
    here.textContent = ` (${local} here)`;
    time.after(here);
  }
}
