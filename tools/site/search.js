// Sections in which all words occur; those with the words in a heading first. As the pages of the product do it.
(() => {
  const wanted = (new URLSearchParams(location.search).get("q") ?? "").trim();
  document.getElementById("q").value = wanted;
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length ? SECTIONS.map(rated).filter(Boolean).sort((a, b) => b.inHeading - a.inHeading) : [];
  const list = document.getElementById("found");
  for (const { section } of found.slice(0, 40)) list.append(entry(section));
  document.getElementById("how-many").textContent =
    found.length ? `${found.length} places with “${wanted}”` : `The guide does not say “${wanted}”. Every word must occur in one section.`;

  function rated(section) {
    const [, title, heading, text] = section;
    const top = `${title} ${heading}`.toLowerCase(), all = text.toLowerCase();
    if (!words.every((word) => top.includes(word) || all.includes(word))) return null;
    return { section, inHeading: words.filter((word) => top.includes(word)).length };
  }

  function entry([address, title, heading, text]) {
    const item = document.createElement("li"), link = document.createElement("a"), piece = document.createElement("p");
    link.href = address;
    link.textContent = heading === title ? title : `${title}: ${heading}`;
    const at = Math.max(0, text.toLowerCase().indexOf(words[0]));
    piece.textContent = `… ${text.slice(Math.max(0, at - 90), at + 120)} …`;
    item.append(link, piece);
    return item;
  }
})();
