/* Keys that work wherever the focus is, except where an element has its own use for them. */

const OWN_KEYS = [
  ["input[type=password], select, textarea", /./],
  ["input[type=range]", /^(Arrow|Home|End|Page)/],
  ["input[type=radio]", /^( |Arrow)/],
  ["input[type=checkbox], button, a", /^ $/],
];

/* Call `actions[key]()`; letters in lower case. */
export function onKeys(actions) {
  document.addEventListener("keydown", (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey || event.altKey || !(key in actions)) return;
    if (OWN_KEYS.some(([selector, keys]) => event.target.matches(selector) && keys.test(key))) return;
    event.preventDefault();
    actions[key]();
  });
}
