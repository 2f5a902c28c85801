/* Numbers as people read them. */

const number = (value, digits) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const [value, unit] = count < 1e6 ? [count / 1e3, "kB"] : [count / 1e6, "MB"];
  return `${number(value, value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}

/* 1.5, 6, 12.8: as many digits as a bitrate has, at most two. */
export const kbps = (value) => `${Number(value.toFixed(2)).toLocaleString("en")} kbps`;

/* 0:03.4 */
export function clock(seconds, digits = 1) {
  const unit = 10 ** digits;
  const all = Math.floor(seconds * unit + 1e-6);
  const rest = all % (60 * unit);
  return `${Math.floor(all / (60 * unit))}:${(rest / unit).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}

export const span = (seconds) => (seconds < 10 ? `${number(seconds, 2)} s` : `${number(seconds, 1)} s`);

/* How much smaller `part` is than `whole`; null when it is not. */
export function saving(part, whole) {
  const share = 100 * (1 - part / whole);
  if (!(share > 0)) return null;
  return `${number(Math.min(share, 99.9), share >= 90 ? 1 : 0)} %`;
}

export const hertz = (rate) => `${Number((rate / 1000).toFixed(2))} kHz`;

export const decibels = (value) => `${number(Math.abs(value), 1)} dB`;
