// What is wrong on a page with hostile values; what is typed in a form is left as it is.
() => {
  const unseen = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff\u200b]/;
  const found = [];
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (unseen.test(node.data) && !node.parentElement.closest("textarea, script, style"))
      found.push(`${node.parentElement.tagName}: ${JSON.stringify(node.data.trim().slice(0, 60))}`);
  }
  for (const element of document.querySelectorAll("[title], [aria-label], [alt], [placeholder]"))
    for (const name of ["title", "aria-label", "alt", "placeholder"])
      if (unseen.test(element.getAttribute(name) ?? "")) found.push(`${element.tagName} ${name}`);
  const hooks = ["[onerror]", "[onload]", "[onclick]", "[onmouseover]", "img[src=x]", "script:not([src])"];
  for (const element of document.querySelectorAll(hooks.join())) found.push(`injected ${element.outerHTML.slice(0, 80)}`);
  for (const name of ["href", "action", "formaction", "src"])
    for (const element of document.querySelectorAll(`[${name}]`)) {
      const to = element.getAttribute(name);
      if (/^\s*(javascript|vbscript|data:text)/i.test(to)) found.push(`address ${to.slice(0, 60)}`);
    }
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) found.push(`${wide} pixels wide`);
  found.push(...window.violations);
  if (window.runs) found.push(`${window.runs} scripts ran`);
  return found.slice(0, 8);
}
