// Boxes over the image on show: a canvas of the image's own size, laid exactly on it.
import { $, percent } from "./view.js";

const COLOURS = 12; // hues around the circle, one a class
let shown = null; // {element, size, detections}

// `element` shows the image, `size` is what the boxes count in: its {width, height} in pixels.
export function drawBoxes(element, size, detections) {
  shown = { element, size, detections };
  const canvas = $("boxes");
  canvas.width = size.width;
  canvas.height = size.height;
  const pen = canvas.getContext("2d");
  const unit = Math.max(1, Math.max(size.width, size.height) / 320);
  pen.lineWidth = 2 * unit;
  pen.font = `${12 * unit}px system-ui, sans-serif`;
  pen.textBaseline = "bottom";
  for (const { index, label, score, box: [x0, y0, x1, y1] } of [...detections].reverse()) { // the best one on top
    const text = `${label} ${percent(score)}`;
    const colour = `hsl(${(index * 360 * 5) / COLOURS % 360} 90% 45%)`;
    pen.strokeStyle = pen.fillStyle = colour;
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    const height = 15 * unit;
    const top = y0 >= height ? y0 - height : y0; // the label stays inside the image
    pen.fillRect(x0, top, pen.measureText(text).width + 6 * unit, height);
    pen.fillStyle = "white";
    pen.fillText(text, x0 + 3 * unit, top + height - unit);
  }
  place();
}

export function clearBoxes() {
  shown = null;
  $("boxes").hidden = true;
}

// Puts the canvas where the browser shows the image: centred in its element, as `object-fit: contain` does.
function place() {
  if (!shown) return;
  const { element, size } = shown;
  const scale = Math.min(element.clientWidth / size.width, element.clientHeight / size.height);
  const canvas = $("boxes");
  canvas.hidden = !(scale > 0);
  canvas.style.width = `${size.width * scale}px`;
  canvas.style.height = `${size.height * scale}px`;
  canvas.style.left = `${element.offsetLeft + (element.clientWidth - size.width * scale) / 2}px`;
  canvas.style.top = `${element.offsetTop + (element.clientHeight - size.height * scale) / 2}px`;
}

new ResizeObserver(place).observe($("drop"));
