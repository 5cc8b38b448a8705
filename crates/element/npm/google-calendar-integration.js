/** The class of `<google-calendar-integration>`. What it does is in the module; this keeps the properties and the language. */
export class GoogleCalendarIntegration extends (globalThis.HTMLElement ?? Object) {
  #client = null;
  #texts = {};
  #root = this.attachShadow({ mode: "open" });
  /** @type {Integration | null} */
  #integration = null;
  /** Tells the page's author why nothing is shown. */
  #hint;
  /** The page's language and colour scheme are shown anew as soon as they change. */
  #look = globalThis.MutationObserver && new MutationObserver(() => this.#adapt());

  get client() {
    return this.#client;
  }
  set client(client) {
    this.#client = client ?? null;
    this.#integration?.set_client(this.#client);
  }

  get texts() {
    return this.#texts;
  }
  set texts(texts) {
    this.#texts = texts ?? {};
    this.#adapt();
  }

  async refresh() {
    await this.#mount();
    await this.#integration?.refresh();
  }

  async connectedCallback() {
    // Set before the class was there to see.
    for (const property of ["client", "texts"]) {
      if (!Object.hasOwn(this, property)) continue;
      const value = this[property];
      delete this[property];
      this[property] = value;
    }
    await this.#mount();
  }

  async #mount() {
    await Promise.all([ready(), load(builtIn(languageOf(this)))]);
    if (!this.isConnected || this.#integration) return;
    this.#root.adoptedStyleSheets = [sheet()];
    this.#root.replaceChildren(nodes().cloneNode(true));
    this.#integration = new Integration(this, this.#root, ...this.#words());
    this.#integration.set_client(this.#client);
    this.#hint = setTimeout(() => {
      if (!this.#client) console.warn("google-calendar-integration waits for its client: element.client = supabase");
    }, 5_000);
    for (let node = this; node; node = node.parentNode ?? node.host) {
      this.#look.observe(node, { attributeFilter: ["class", "data-theme", "lang", "style"] });
    }
  }

  /** Shows the page's language and colour scheme, and what was shown until the language is loaded. */
  async #adapt() {
    await load(builtIn(languageOf(this)));
    this.#integration?.set_texts(...this.#words());
  }

  /** Every text in the order of texts.json, and the language of the dates between them: never two languages at once. */
  #words() {
    const language = languageOf(this);
    const words = loaded.get(builtIn(language)) ?? english;
    const isSpoken = builtIn(language) || typeof this.#texts.lastSync === "string";
    const texts = Object.keys(english).map((name) =>
      typeof this.#texts[name] === "string" ? this.#texts[name] : words[name],
    );
    return [texts, isSpoken ? language : "en"];
  }

  disconnectedCallback() {
    // What is only moved is back by then, and goes on.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#look.disconnect();
      clearTimeout(this.#hint);
      this.#integration?.free();
      this.#integration = null;
    });
  }

  connectedMoveCallback() {}
}

/** The `lang` of the closest element that has one, through the shadow roots around. */
function languageOf(element) {
  for (let inside = element; inside; inside = inside.getRootNode().host) {
    const named = inside.closest("[lang]");
    if (named) return named.lang;
  }
  return "";
}

/** Written out, so that bundlers find them. */
const translations = {
  de: () => import("./texts.de.js"),
  es: () => import("./texts.es.js"),
  fr: () => import("./texts.fr.js"),
  it: () => import("./texts.it.js"),
  ja: () => import("./texts.ja.js"),
  pt: () => import("./texts.pt.js"),
};

/** "de" of "de-CH"; `undefined` of a language that the element does not speak. */
function builtIn(language) {
  const [name] = language.toLowerCase().split("-");
  return name === "en" || Object.hasOwn(translations, name) ? name : undefined;
}

/** The texts of the languages that were asked for, by their names. */
const loaded = new Map();

/** Loads a language once. English stands for one that cannot be had. */
async function load(name) {
  if (!name || name === "en" || loaded.has(name)) return;
  try {
    loaded.set(name, (await translations[name]()).default);
  } catch (error) {
    console.warn(`google-calendar-integration: texts.${name}.js cannot be loaded, so it speaks English`, error);
    delete translations[name];
  }
}

let styles;

function sheet() {
  if (!styles) {
    styles = new CSSStyleSheet();
    styles.replaceSync(css);
  }
  return styles;
}

let template;

function nodes() {
  if (!template) {
    template = document.createElement("template");
    template.innerHTML = html;
  }
  return template.content;
}

let started;

/** Starts the module with the first element that needs it: never on a server. */
function ready() {
  return (started ??= start({ module_or_path: decode(base64) }));
}

function decode(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

const registry = globalThis.customElements;
if (registry && !registry.get("google-calendar-integration")) {
  registry.define("google-calendar-integration", GoogleCalendarIntegration);
}
