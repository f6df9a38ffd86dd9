// Elements. Names of classes and images are only ever set as text.

export const find = (id) => document.getElementById(id);

export function make(kind, properties = {}, ...children) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function show(element, visible) {
  element.hidden = !visible;
}

// Images are kept as elements: what is on its way while the server is there can be shown later.
const images = new Map();
const MOST_IMAGES = 1200;

export function imageOf(address, description) {
  let image = images.get(address);
  if (image) {
    images.delete(address);
  } else {
    image = make("img", { decoding: "async", draggable: false });
    image.addEventListener("error", () => retry(image, address));
    image.src = address;
  }
  images.set(address, image);
  if (images.size > MOST_IMAGES) images.delete(images.keys().next().value);
  if (description || !image.alt) image.alt = description;
  return image;
}

const gone = new Map();

function retry(image, address) {
  const tried = Number(image.dataset.tried || 0);
  if (tried >= 2) {
    gone.set(address, image);
    image.classList.add("gone");
    if (!image.alt.endsWith("shown")) image.alt = `${image.alt || "This image"} cannot be shown`;
    return;
  }
  image.dataset.tried = tried + 1;
  setTimeout(() => { image.src = address; }, 1000 * (tried + 1));
}

// When the server is back, or an image is.
export function retryGone() {
  for (const [address, image] of gone) {
    image.dataset.tried = 0;
    image.classList.remove("gone");
    image.src = address;
  }
  gone.clear();
}

export const isTyping = (target) =>
  target.closest && target.closest("input:not([type=checkbox]):not([type=range]), textarea, select");
