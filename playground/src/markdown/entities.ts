// Decodes HTML character references in Markdown text: numeric ones and the named ones that occur in prose.

const NAMED: Record<string, string> = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", shy: "\u00ad", copy: "©", reg: "®", trade: "™", hellip: "…",
  mdash: "—", ndash: "–", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", laquo: "«", raquo: "»", bull: "•", middot: "·",
  times: "×", divide: "÷", minus: "−", plusmn: "±", deg: "°", sup2: "²", sup3: "³", frac12: "½", micro: "µ", sect: "§",
  para: "¶", dagger: "†", larr: "←", rarr: "→", uarr: "↑", darr: "↓", harr: "↔", lArr: "⇐", rArr: "⇒", hArr: "⇔", le: "≤",
  ge: "≥", ne: "≠", asymp: "≈", equiv: "≡", infin: "∞", sum: "∑", prod: "∏", radic: "√", int: "∫", part: "∂", isin: "∈",
  notin: "∉", cap: "∩", cup: "∪", forall: "∀", exist: "∃", empty: "∅", and: "∧", or: "∨", not: "¬", alpha: "α", beta: "β",
  gamma: "γ", delta: "δ", epsilon: "ε", theta: "θ", lambda: "λ", mu: "μ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ",
  psi: "ψ", omega: "ω", Delta: "Δ", Sigma: "Σ", Omega: "Ω", euro: "€", pound: "£", yen: "¥", cent: "¢", check: "✓",
};

const REFERENCE = /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z][a-z0-9]{1,10}));/gi;

export function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(REFERENCE, (reference, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return NAMED[name] ?? reference;
    const code = hex === undefined ? Number(decimal) : parseInt(hex, 16);
    const isScalar = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return isScalar ? String.fromCodePoint(code) : "\ufffd";
  });
}
