/* Requests to the service. XMLHttpRequest, because fetch can't tell how far an upload has come. */

const SLOT = "nacre-key";

export const apiKey = {
  get: () => sessionStorage.getItem(SLOT) ?? "",
  set: (key) => sessionStorage.setItem(SLOT, key),
};

/* What the service refused, in the one shape that it answers errors in; status 0 when no answer came. */
export class Failure extends Error {
  constructor({ status, message, requestId = "", retrySeconds = 0 }) {
    super(message);
    Object.assign(this, { status, requestId, retrySeconds });
  }
}

/* Resolve with { data: ArrayBuffer, header(name), seconds }. `onProgress` gets the share that is up, then null while the
   service works. */
export function request(method, path, { body = null, type = "", signal = null, onProgress = () => {} } = {}) {
  const xhr = new XMLHttpRequest();
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const abort = () => xhr.abort();
    xhr.open(method, path);
    xhr.responseType = "arraybuffer";
    if (type) xhr.setRequestHeader("Content-Type", type);
    if (apiKey.get()) xhr.setRequestHeader("Authorization", `Bearer ${apiKey.get()}`);
    xhr.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    xhr.upload.onload = () => onProgress(null);
    xhr.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    xhr.onerror = () => reject(new Failure({ status: 0, message: "there is no connection, or it broke" }));
    xhr.onload = () => {
      const answer = { data: xhr.response, header: (name) => xhr.getResponseHeader(name) ?? "" };
      if (xhr.status >= 200 && xhr.status < 300) resolve({ ...answer, seconds: (performance.now() - begun) / 1000 });
      else reject(failure(xhr.status, answer));
    };
    xhr.onloadend = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) return xhr.onabort();
    signal?.addEventListener("abort", abort);
    xhr.send(body);
  });
}

export async function getJson(path) {
  const { data } = await request("GET", path);
  return JSON.parse(new TextDecoder().decode(data));
}

function failure(status, { data, header }) {
  const facts = { status, retrySeconds: Number(header("Retry-After")) || 0, requestId: header("X-Request-ID") };
  try {
    const { error, request_id: requestId } = JSON.parse(new TextDecoder().decode(data));
    return new Failure({ ...facts, message: error.message, requestId });
  } catch {
    return new Failure({ ...facts, message: `it answered ${status}` });
  }
}

const OPENINGS = {
  0: "The service can't be reached",
  400: "The service can't use this file",
  401: "The service asks for an API key",
  403: "This API key may not do that",
  408: "The upload took too long",
  409: "This container needs another model",
  413: "That is more than the service takes at once",
  415: "The service can't read this format",
  429: "This API key has used up its share for now",
  500: "Something went wrong in the service",
  503: "The service is busy",
};

/* One sentence for people, with the service's own words. */
export function sentence(failure) {
  const opening = OPENINGS[failure.status] ?? "The service refused this";
  const again = failure.retrySeconds ? ` Try again in ${failure.retrySeconds} s.` : "";
  return `${opening}: ${failure.message.replace(/[.\s]+$/, "")}.${again}`;
}
