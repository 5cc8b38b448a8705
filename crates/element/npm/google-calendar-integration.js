/**
 * The class of `<google-calendar-integration>`. What it does is in the module; this draws the panel before the module runs,
 * keeps the properties, and knows the page's language and colour scheme.
 */
export class GoogleCalendarIntegration extends (globalThis.HTMLElement ?? Object) {
  #client = null;
  #texts = {};
  #root = this.attachShadow({ mode: "open" });
  /** What the module knows of this element. */
  #integration = null;
  /** The name of the text that says why the module does not run. */
  #failure = null;
  /** Tells the page's author why nothing is shown. */
  #hint;
  /** The page's language and colour scheme are shown anew as soon as they change. */
  #look = globalThis.MutationObserver && new MutationObserver(() => this.#adapt());

  constructor() {
    super();
    // Without popovers their selectors are errors.
    if (!("popover" in HTMLElement.prototype)) return;
    this.#root.addEventListener("toggle", giveFocusBack, true);
    this.#root.addEventListener("focusout", closeWhatIsLeft);
  }

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

  /** Where it stands may have another language and colour scheme. */
  connectedMoveCallback() {
    this.#watch();
    this.#adapt();
  }

  get #panel() {
    return this.#root.firstElementChild;
  }

  /** What can be seen before the module runs, at once. */
  #draw() {
    if (this.#panel) return this.connectedMoveCallback();
    const panel = drawn(panelHtml);
    // Asked before there is more to compute styles of.
    panel.style.colorScheme = schemeOf(this);
    this.#root.adoptedStyleSheets = [sheet()];
    this.#root.append(panel);
    this.#watch();
    this.#say();
  }

  #watch() {
    this.#look.disconnect();
    for (let node = this; node; node = node.parentNode ?? node.host) {
      this.#look.observe(node, { attributeFilter: ["class", "data-theme", "lang", "style"] });
    }
  }

  async #mount() {
    const [{ Integration, failure }] = await Promise.all([ready(), load(builtIn(languageOf(this)))]);
    if (!this.isConnected || this.#integration) return;
    if (this.#failure && !failure) this.#root.replaceChildren();
    this.#failure = failure ?? null;
    this.#draw();
    const words = this.#words();
    if (failure) return this.#adapt();
    // The language has changed meanwhile.
    if (!words) return this.#mount();
    const [texts, language] = words;
    this.#integration = new Integration(this, this.#root, drawn(cardHtml), Object.values(texts), language);
    this.#integration.set_client(this.#client);
    this.#hint = setTimeout(() => {
      if (this.#client) return;
      console.warn("google-calendar-integration waits for its client: element.client = supabase");
      this.#integration.miss_client();
    }, 10_000);
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
    find(".skeleton").hidden = true;
    find(".blank").hidden = false;
    const again = find(".blank > .button");
    again.hidden = this.#failure !== UNREACHABLE;
    again.ariaBusy = "false";
    again.querySelector(".label").textContent = texts.tryAgain;
    again.onclick = () => {
      again.ariaBusy = "true";
      this.#mount();
    };
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
}

/**
 * Gives the focus back to what opened the popover that has closed, unless something else has it. Browsers do so for an
 * outermost popover only, Chromium not even for that within a shadow root.
 */
function giveFocusBack({ target: closed, newState, currentTarget: { activeElement } }) {
  const isFree = activeElement ? closed.contains(activeElement) : document.activeElement === document.body;
  if (newState !== "closed" || !isFree || !closed.matches(".menu, .ask")) return;
  const menu = closed.closest(".menu:popover-open");
  const opener = menu?.querySelector(".give-up") ?? closed.closest(".card")?.querySelector(".more");
  opener?.focus({ preventScroll: true });
}

/** A popover that the focus has left would stay open over what has the focus. */
function closeWhatIsLeft({ target, relatedTarget, currentTarget: root }) {
  // A press on what takes no focus (in Safari: a button) gives it to what is around, which is not left for anything.
  if (!relatedTarget || isAround(relatedTarget, root.host)) return;
  for (const popover of root.querySelectorAll(".menu:popover-open, .ask:popover-open")) {
    // Its button opens and closes it by itself.
    const holds = (node) => popover.contains(node) || node.getAttribute("popovertarget") === popover.id;
    if (popover.matches(":popover-open") && holds(target) && !holds(relatedTarget)) popover.hidePopover();
  }
}

/** Through the shadow roots between. */
function isAround(outer, inside) {
  return outer.contains(inside) || Boolean(inside) && isAround(outer, inside.getRootNode().host ?? null);
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

const nodes = new Map();

/** A copy of the one element of this markup. */
function drawn(html) {
  if (!nodes.has(html)) nodes.set(html, parse(html));
  return nodes.get(html).cloneNode(true);
}

/** Makes element by element, as a page under Trusted Types may let no markup be parsed. */
function parse(html) {
  const root = document.createDocumentFragment();
  let parent = root;
  for (const [, tag, attribute, value] of html.matchAll(/<(\w+)|([\w-]+)="([^"]*)"|<\/|\/>/g)) {
    if (tag) {
      const namespace = tag === "svg" ? "http://www.w3.org/2000/svg" : (parent.namespaceURI ?? "http://www.w3.org/1999/xhtml");
      parent = parent.appendChild(document.createElementNS(namespace, tag));
    } else if (attribute) {
      parent.setAttribute(attribute, value);
    } else {
      parent = parent.parentNode;
    }
  }
  return root.firstElementChild;
}

/** The name of the text for a module that cannot be loaded, which may pass. */
const UNREACHABLE = "unreachableNow";

let started;

/** Starts the module with the first element that needs it, never on a server. Resolves with it, or the text of why not. */
function ready() {
  return (started ??= begin());
}

async function begin() {
  let failure = UNREACHABLE;
  let wasm;
  try {
    const [{ base64, start, Integration }] = await Promise.all([import("./module.js"), painted()]);
    failure = "unsupportedBrowser";
    wasm = await inflate(base64);
    await start({ module_or_path: wasm });
    return { Integration };
  } catch (error) {
    console.error("google-calendar-integration:", error);
    if (failure === UNREACHABLE) started = undefined;
    // Sound WASM is refused by nothing but the page's Content-Security-Policy.
    return { failure: wasm && globalThis.WebAssembly?.validate(wasm) ? "blockedByPage" : failure };
  }
}

/** Lets the browser paint what was drawn, if anybody sees it, before the module keeps it busy. */
function painted() {
  return new Promise((resolve) => (document.hidden ? resolve() : requestAnimationFrame(() => setTimeout(resolve))));
}

function inflate(base64) {
  const bytes = Uint8Array.fromBase64?.(base64) ?? Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Response(new Response(bytes).body.pipeThrough(new DecompressionStream("deflate-raw"))).arrayBuffer();
}

const registry = globalThis.customElements;
if (registry && !registry.get("google-calendar-integration")) {
  registry.define("google-calendar-integration", GoogleCalendarIntegration);
}
