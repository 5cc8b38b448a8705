/**
 * The class of `<google-calendar-integration>`. What it does is in the module; this draws the panel before the module runs,
 * keeps the properties, and knows the page's language and colour scheme.
 */
export class GoogleCalendarIntegration extends (globalThis.HTMLElement ?? Object) {
  #client = null;
  #texts = {};
  #root = this.attachShadow({ mode: "open" });
  /** @type {Integration | null} */
  #integration = null;
  /** The name of the text that says why the module does not run. */
  #failure = null;
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
    this.#draw();
    await this.#mount();
  }

  get #panel() {
    return this.#root.firstElementChild;
  }

  /** What can be seen before the module runs, at once. */
  #draw() {
    if (this.#panel) return;
    this.#root.adoptedStyleSheets = [sheet()];
    this.#root.append(template().panel.cloneNode(true));
    for (let node = this; node; node = node.parentNode ?? node.host) {
      this.#look.observe(node, { attributeFilter: ["class", "data-theme", "lang", "style"] });
    }
    this.#panel.style.colorScheme = schemeOf(this);
    this.#say();
  }

  async #mount() {
    const [failure] = await Promise.all([ready(), load(builtIn(languageOf(this)))]);
    if (!this.isConnected || this.#integration) return;
    this.#failure = failure;
    const words = this.#words();
    if (failure || !words) return this.#adapt();
    const [texts, language] = words;
    this.#integration = new Integration(this, this.#root, template().card.cloneNode(true), Object.values(texts), language);
    this.#integration.set_client(this.#client);
    this.#hint = setTimeout(() => {
      if (!this.#client) console.warn("google-calendar-integration waits for its client: element.client = supabase");
    }, 5_000);
  }

  /** Shows the page's language and colour scheme, and the language of before until the new one is loaded. */
  async #adapt() {
    if (!this.#panel) return;
    this.#panel.style.colorScheme = schemeOf(this);
    await load(builtIn(languageOf(this)));
    if (this.#panel) this.#say();
  }

  #say() {
    const words = this.#words();
    if (!words) return;
    const [texts, language] = words;
    this.#panel.lang = language;
    if (this.#integration) return this.#integration.set_texts(Object.values(texts), language);
    const find = (selector) => this.#panel.querySelector(selector);
    find(".title").textContent = texts.title;
    find(".summary").textContent = this.#failure ? "" : texts.loading;
    if (!this.#failure) return;
    this.#panel.ariaBusy = "false";
    find(".skeleton").hidden = find(".blank > .button").hidden = true;
    find(".blank").hidden = false;
    find(".blank > .name").textContent = texts.failedTitle;
    find(".blank > .message").textContent = texts[this.#failure];
  }

  /**
   * Every text in the order of texts.json, and the language of the dates between them: never two languages at once.
   * Nothing while the language is being loaded.
   */
  #words() {
    const language = languageOf(this);
    const words = loaded.get(builtIn(language));
    if (!words) return null;
    const texts = Object.keys(english).map((name) => {
      const own = this.#texts[name];
      return [name, typeof own === "string" ? own : words[name]];
    });
    const isSpoken = nameOf(language) === builtIn(language) || typeof this.#texts.lastSync === "string";
    return [Object.fromEntries(texts), isSpoken ? language : "en"];
  }

  disconnectedCallback() {
    // What is only moved is back by then, and goes on.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#look.disconnect();
      clearTimeout(this.#hint);
      this.#integration?.free();
      this.#integration = null;
      this.#root.replaceChildren();
    });
  }

  connectedMoveCallback() {}
}

/** The closest element that matches, through the shadow roots around. */
function closest(element, selector) {
  for (let inside = element; inside; inside = inside.getRootNode().host) {
    const found = inside.closest(selector);
    if (found) return found;
  }
  return null;
}

/** As dark as the page: what is nearer decides, the class or attribute of a theme or the page's `color-scheme`. */
function schemeOf(element) {
  const scheme = getComputedStyle(element).colorScheme;
  const themed = closest(element, ".dark, .light, [data-theme=dark], [data-theme=light]");
  if (themed && getComputedStyle(themed).colorScheme === scheme) {
    return themed.matches(".dark, [data-theme=dark]") ? "dark" : "light";
  }
  // Where the page has not chosen, the user has.
  return scheme === "normal" ? "light dark" : "";
}

const languageOf = (element) => closest(element, "[lang]")?.lang ?? "";

/** "de" for "de-CH". */
const nameOf = (language) => language.split("-")[0].toLowerCase();

/** Written out, so that bundlers find them. */
const translations = {
  de: () => import("./texts.de.js"),
  es: () => import("./texts.es.js"),
  fr: () => import("./texts.fr.js"),
  it: () => import("./texts.it.js"),
  ja: () => import("./texts.ja.js"),
  pt: () => import("./texts.pt.js"),
};

/** English stands for every language that the element does not speak. */
const builtIn = (language) => (Object.hasOwn(translations, nameOf(language)) ? nameOf(language) : "en");

/** Texts by the names of their languages. */
const loaded = new Map([["en", english]]);

async function load(language) {
  if (loaded.has(language)) return;
  try {
    loaded.set(language, (await translations[language]()).default);
  } catch (error) {
    console.warn(`google-calendar-integration: texts.${language}.js cannot be loaded, so it speaks English`, error);
    delete translations[language];
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

let nodes;

/** The panel and a card, made element by element: under Trusted Types a page may let no markup be parsed. */
function template() {
  if (nodes) return nodes;
  const root = document.createDocumentFragment();
  let parent = root;
  for (const [, closes, tag, attributes, isEmpty] of html.matchAll(/<(\/?)(\w+)([^>]*?)(\/?)>/g)) {
    if (closes) {
      parent = parent.parentNode;
      continue;
    }
    const svg = "http://www.w3.org/2000/svg";
    const element = document.createElementNS(tag === "svg" ? svg : (parent.namespaceURI ?? "http://www.w3.org/1999/xhtml"), tag);
    for (const [, attribute, value] of attributes.matchAll(/([\w-]+)="([^"]*)"/g)) element.setAttribute(attribute, value);
    parent.append(element);
    if (!isEmpty) parent = element;
  }
  const [panel, card] = root.children;
  return (nodes = { panel, card });
}

let started;

/** Starts the module with the first element that needs it, never on a server. Resolves with the text of why it cannot run. */
function ready() {
  return (started ??= begin());
}

async function begin() {
  try {
    const module = await inflate(base64);
    if (!WebAssembly.validate(module)) throw new Error("this browser's WebAssembly is too old");
    await start({ module_or_path: module });
    return null;
  } catch (error) {
    console.error("google-calendar-integration:", error);
    // A sound module is refused by nothing but the page's Content-Security-Policy, in Safari as an `EvalError`.
    const isRefused = globalThis.WebAssembly && (error instanceof WebAssembly.CompileError || error instanceof EvalError);
    return isRefused ? "blockedByPage" : "unsupportedBrowser";
  }
}

function inflate(base64) {
  const bytes = Uint8Array.fromBase64?.(base64) ?? Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Response(new Response(bytes).body.pipeThrough(new DecompressionStream("deflate-raw"))).arrayBuffer();
}

const registry = globalThis.customElements;
if (registry && !registry.get("google-calendar-integration")) {
  registry.define("google-calendar-integration", GoogleCalendarIntegration);
}
