/* What the page says: one line of status, the message of an error, and the progress of what it is doing. */

import { Failure, sentence } from "./api.js";

const $ = (id) => document.getElementById(id);

export const say = (text) => ($("status").textContent = text);

/* Show an error in one sentence, with the name of its request. */
export function complain(error) {
  $("alert-text").textContent = error instanceof Failure ? sentence(error) : error.message;
  $("alert-request").textContent = error.requestId ? `Request ${error.requestId}` : "";
  $("alert").hidden = false;
}

export const forgive = () => ($("alert").hidden = true);

/* Show how far an upload is, or with null that the service works. */
export function showProgress(share) {
  if (share === null) $("progress").removeAttribute("value");
  else $("progress").value = share;
}

$("alert-close").addEventListener("click", forgive);
