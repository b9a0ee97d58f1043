// The camera: one frame at a time, drawn small and sent as a JPEG; the next only after the answer to the last.
const SIDE_PX = 640; // the longer side of what is sent: more than the models see, little to upload
const QUALITY = 0.85;

// Returns why there is no camera, "" where there may be one.
export function whyNot() {
  if (!window.isSecureContext) return "The camera needs HTTPS, or this page opened as localhost.";
  if (!navigator.mediaDevices?.getUserMedia) return "This browser gives pages no camera.";
  return "";
}

export class Camera {
  #stream = null;
  #canvas = document.createElement("canvas");

  constructor(video) { this.video = video; }

  // Of the frame that was sent last.
  get size() { return { width: this.#canvas.width, height: this.#canvas.height }; }

  get running() { return this.#stream !== null; }

  // Calls onFrame(JPEG blob) for frame after frame, each after the promise of the one before, until stop().
  // onEnd() is called when the device itself goes away.
  async start(onFrame, onEnd) {
    const wanted = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    this.stop();
    this.#stream = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => { if (this.#stream === stream) onEnd(); });
    this.video.srcObject = stream;
    await this.video.play();
    this.#loop(stream, onFrame);
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.video.srcObject = null;
  }

  async #loop(stream, onFrame) {
    while (await this.#nextFrame(), this.#stream === stream) {
      const frame = await this.#grab();
      if (frame && this.#stream === stream) await onFrame(frame);
    }
  }

  // Resolves when there is something new to look at; a hidden page draws nothing, so it also sends nothing.
  #nextFrame() {
    return new Promise((resolve) => {
      if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(resolve);
      else requestAnimationFrame(resolve);
    });
  }

  #grab() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width || !height) return null;
    const scale = Math.min(1, SIDE_PX / Math.max(width, height));
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#canvas.getContext("2d").drawImage(this.video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }
}

// Returns a sentence for what getUserMedia throws.
export function cameraTrouble(error) {
  const known = {
    NotAllowedError: "The camera was not allowed. The browser's settings of this site can change that.",
    NotFoundError: "No camera was found.",
    NotReadableError: "The camera is in use by another program.",
    OverconstrainedError: "The camera cannot give such an image.",
  };
  return known[error.name] ?? `The camera did not start: ${error.message}`;
}
