// The light viewer: one picture of a series at a time, from the server. At most two requests are under way, the newest
// wish is asked for first, and the next few pictures are fetched ahead.

const UNDER_WAY = 2, AHEAD = 5, HELD = 48, PAGE_STEP = 10, WHEEL_STEP = 40, SWIPE_STEP = 14;
const RATES = [2, 5, 10, 15, 25, 30, 60];
const scrollers = new Map();

class Scroller {
  constructor(section) {
    this.section = section;
    this.find = (name) => section.querySelector(`[data-${name}]`);
    this.stage = this.find("stage");
    this.slider = this.find("slider");
    this.firstAlt = this.find("shown").alt;
    this.listen();
    this.open(section.dataset.scroller, true);
  }

  async open(address, isFirst) {
    this.pause();
    if (!isFirst) this.firstAlt = "";
    const asked = this.asked = sectionAddress(address, this.section.dataset.instance);
    let list;
    try {
      const answer = await fetch(asked, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status === 404 ? "it is not here any more" : `the server answered ${answer.status}`);
      list = await answer.json();
    } catch (error) {
      if (asked === this.asked) this.say(`The pictures cannot be listed: ${error.message}. Reload the page to try again.`);
      return;
    }
    if (asked !== this.asked) return; // another series was chosen meanwhile
    this.list = list;
    this.starts = [];
    this.total = 0;
    for (const [, frames] of list.instances) { this.starts.push(this.total); this.total += frames; }
    this.loaded = new Map(); // address -> image, the oldest first
    this.underWay = new Set();
    this.failed = new Set();
    this.window = "";
    this.wanted = this.displayed = 0;
    this.direction = 1;
    this.begin = this.total > 0 ? Math.min(this.total, Number(this.section.dataset.at) || Math.floor(this.total / 2) + 1) : 0;
    this.show(isFirst);
  }

  show(isFirst) {
    this.say(this.total ? this.list.problem && `No picture: ${this.list.problem}` : `No pictures: ${this.list.kind}. `);
    if (!this.total) {
      const link = document.createElement("a");
      link.href = this.list.read;
      link.textContent = "Read it";
      this.find("problem").append(link);
    }
    this.stage.hidden = !this.total;
    for (const part of this.section.querySelectorAll("[data-scripted]")) {
      part.hidden = part.matches(".scroller-choice") ? false : !this.total || ("grey" in part.dataset && !this.list.isGrey);
    }
    if (!this.total) return;
    const many = this.total > 1;
    for (const part of [this.slider, this.find("play"), this.find("rate")]) part.hidden = !many;
    this.stage.classList.toggle("can-window", this.list.isGrey);
    this.slider.max = this.total;
    const select = this.find("window");
    select.hidden = this.find("reset").hidden = !this.list.isGrey;
    select.replaceChildren(
      new Option("As stored", ""), new Option("Full range", "full"),
      ...this.list.presets.map(([name, [centre, width]]) => new Option(`${name} ${centre}/${width}`, `${centre},${width}`)),
    );
    const rate = Math.round(this.list.rate * 10) / 10;
    const rates = [...new Set([...RATES, rate])].sort((a, b) => a - b);
    this.find("rate").replaceChildren(...rates.map((one) => new Option(`${one}/s`, one, one === rate, one === rate)));
    const asked = isFirst && "main" in this.section.dataset ? addressed() : null;
    if (asked?.get("window")) this.setWindow(asked.get("window"), false);
    this.want(Number(asked?.get("picture")) || this.begin, false);
  }

  // Where a picture is, counted from 1.
  place(number) {
    let low = 0, high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] < number) low = middle; else high = middle - 1;
    }
    return { instance: low, frame: number - this.starts[low] };
  }

  address(number) {
    const { instance, frame } = this.place(number);
    const asked = new URLSearchParams({ frame });
    if (this.window) asked.set("window", this.window);
    asked.set("v", this.list.version);
    return `${this.list.address}${this.list.instances[instance][0]}/preview.jpg?${asked}`;
  }

  want(number, isTold = true) {
    if (!this.total) return;
    const wanted = Math.min(this.total, Math.max(1, Math.round(number)));
    if (this.wanted && wanted !== this.wanted) this.direction = wanted > this.wanted ? 1 : -1;
    this.wanted = wanted;
    const { instance, frame } = this.place(wanted);
    const [, frames] = this.list.instances[instance];
    const several = this.list.instances.length > 1;
    const within = frames > 1 ? `frame ${frame} of ${frames}` : "";
    this.slider.value = wanted;
    const where = several && within ? `${wanted} of ${this.total}, instance ${instance + 1}, ${within}` : within || `${wanted} of ${this.total}`;
    this.slider.setAttribute("aria-valuetext", where);
    this.find("place").textContent = where;
    const link = this.find("open-instance");
    this.failed.delete(this.address(wanted)); // whoever comes back tries again
    if (link) link.href = `${this.list.address}${this.list.instances[instance][0]}?frame=${frame}`;
    this.pump();
    if (isTold) this.keepPlace();
  }

  setWindow(value, isTold = true) {
    this.window = value;
    const select = this.find("window");
    select.querySelector("[data-own]")?.remove();
    if (![...select.options].some((option) => option.value === value)) {
      const own = new Option(`Own ${value.replace(",", "/")}`, value);
      own.dataset.own = "";
      select.append(own);
    }
    select.value = value;
    this.pump();
    if (isTold) this.keepPlace();
  }

  // Ask for what is wanted most, as long as not too much is under way.
  pump() {
    const wanted = this.address(this.wanted);
    const hasFailed = this.failed.has(wanted);
    if (this.loaded.has(wanted)) this.display(wanted);
    else if (hasFailed) this.say(`Picture ${this.wanted} cannot be shown. If it was deleted meanwhile, reload the page.`);
    this.stage.classList.toggle("is-broken", hasFailed); // else another picture would be taken for it
    this.stage.classList.toggle("is-waiting", !this.loaded.has(wanted) && !hasFailed);
    const wishes = [wanted];
    for (let step = 1; step <= AHEAD; step++) {
      let next = this.wanted + step * this.direction;
      if (this.playing) next = ((next - 1) % this.total) + 1;
      if (next >= 1 && next <= this.total) wishes.push(this.address(next));
    }
    for (const address of wishes) {
      if (this.underWay.size >= UNDER_WAY) return;
      // What is fetched ahead leaves a place for what is wanted next.
      if (address !== wanted && this.underWay.size >= UNDER_WAY - 1 && !this.loaded.has(wanted)) return;
      if (!this.loaded.has(address) && !this.underWay.has(address) && !this.failed.has(address)) this.fetch(address);
    }
  }

  fetch(address) {
    const list = this.list, image = new Image();
    this.underWay.add(address);
    image.draggable = false;
    image.dataset.shown = "";
    const ended = (isThere) => {
      if (list !== this.list) return;
      this.underWay.delete(address);
      if (isThere) this.loaded.set(address, image); else this.failed.add(address);
      while (this.loaded.size > HELD) this.loaded.delete(this.loaded.keys().next().value);
      this.pump();
    };
    image.onload = () => ended(true);
    image.onerror = () => ended(false);
    image.src = address;
  }

  display(address) {
    const image = this.loaded.get(address);
    this.loaded.delete(address);
    this.loaded.set(address, image); // the newest now
    const isBegin = this.wanted === this.begin && this.firstAlt;
    image.alt = isBegin ? this.firstAlt : `Picture ${this.wanted} of ${this.total}`;
    if (image !== this.find("shown")) this.find("shown").replaceWith(image);
    this.say("");
    this.displayed = this.wanted;
  }

  say(text) {
    const problem = this.find("problem");
    problem.textContent = text || "";
    problem.hidden = !text;
  }

  keepPlace() {
    if (!("main" in this.section.dataset)) return;
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => {
      const kept = new URLSearchParams();
      const chosen = this.find("choice")?.value;
      if (chosen && this.find("choice").selectedIndex) kept.set("series", chosen.split("/").pop());
      kept.set("picture", this.wanted);
      if (this.window) kept.set("window", this.window);
      const address = `${location.pathname}${location.search}#${kept.toString().replaceAll("%2C", ",")}`;
      history.replaceState(history.state, "", address);
    }, 250);
  }

  play() {
    if (this.total < 2) return;
    this.playing = true;
    this.direction = 1;
    this.pressed(true);
    let due = performance.now();
    const step = (now) => {
      if (!this.playing) return;
      const pause = 1000 / Number(this.find("rate").value);
      // A picture that has not come yet is waited for.
      const isThere = this.displayed === this.wanted || this.failed.has(this.address(this.wanted));
      if (now >= due && isThere && !document.hidden) {
        due = Math.max(due + pause, now);
        this.want((this.wanted % this.total) + 1, false);
      }
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.pressed(false);
    this.keepPlace();
  }

  pressed(isPlaying) {
    const button = this.find("play");
    button.setAttribute("aria-pressed", isPlaying);
    button.title = isPlaying ? "Pause (space bar)" : "Play (space bar)";
    button.querySelector("i").className = `bi bi-${isPlaying ? "pause" : "play"}-fill`;
  }

  // By hand: what plays stops.
  go(number) {
    this.pause();
    this.want(number);
  }

  listen() {
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.slider.addEventListener("keydown", (event) => this.key(event));
    this.find("play").addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    this.find("window").addEventListener("change", (event) => this.setWindow(event.target.value));
    this.find("reset").addEventListener("click", () => this.setWindow(""));
    this.find("full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : this.section.requestFullscreen?.()));
    this.find("choice")?.addEventListener("change", (event) => this.open(`${event.target.value}/pictures`, false).then(() => this.keepPlace()));
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.grab(event));
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: PAGE_STEP, PageUp: -PAGE_STEP }[event.key];
    if (by) this.go(this.wanted + by);
    else if (event.key === "Home") this.go(1);
    else if (event.key === "End") this.go(this.total);
    else if (event.key === " ") this.find("play").click();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  wheel(event) {
    if (!this.total || this.total < 2 || event.ctrlKey) return;
    const turned = event.deltaY * (event.deltaMode === 0 ? 1 : WHEEL_STEP);
    const isAtEnd = turned > 0 ? this.wanted === this.total : this.wanted === 1;
    if (isAtEnd) return; // the page goes on
    event.preventDefault();
    this.turned = (Math.sign(this.turned || 0) === Math.sign(turned) ? this.turned : 0) + turned;
    const steps = Math.trunc(this.turned / WHEEL_STEP);
    if (!steps) return;
    this.turned -= steps * WHEEL_STEP;
    this.go(this.wanted + steps);
  }

  grab(event) {
    if (!this.total || event.button !== 0) return;
    if (event.pointerType !== "touch") this.slider.focus({ preventScroll: true }); // the arrow keys go on from here
    const from = { x: event.clientX, y: event.clientY, picture: this.wanted, window: this.currentWindow() };
    const isSwipe = event.pointerType === "touch";
    if (!isSwipe && !from.window) return;
    event.preventDefault();
    this.stage.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const x = moved.clientX - from.x, y = moved.clientY - from.y;
      if (isSwipe) this.go(from.picture - x / SWIPE_STEP);
      else if (Math.abs(x) + Math.abs(y) > 3) this.drag(from.window, x, y);
    };
    const end = () => {
      this.stage.removeEventListener("pointermove", move);
      for (const name of ["pointerup", "pointercancel"]) this.stage.removeEventListener(name, end);
    };
    this.stage.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) this.stage.addEventListener(name, end);
  }

  currentWindow() {
    if (!this.list.isGrey) return null;
    if (this.window && this.window !== "full") return this.window.split(",").map(Number);
    return (this.window ? this.list.whole : this.list.window) || this.list.whole;
  }

  drag([centre, width], x, y) {
    // All values over half the stage; a narrow window is changed in small steps.
    const per = Math.max(width, this.list.whole[1] / 50) / (this.stage.clientWidth / 2);
    const digits = this.list.whole[1] > 50 ? 0 : 4;
    const least = digits ? this.list.whole[1] / 1000 : 1;
    const number = (value) => String(Number(value.toFixed(digits)));
    this.setWindow(`${number(centre - y * per)},${number(Math.max(least, width + x * per))}`);
  }
}

function sectionAddress(address, instance) {
  return instance ? `${address}?${new URLSearchParams({ instance })}` : address;
}

function addressed() {
  return new URLSearchParams(location.hash.slice(1));
}

// Another series may stand in the address.
function chooseAddressed(section) {
  const choice = section.querySelector("[data-choice]"), series = addressed().get("series");
  const option = choice && [...choice.options].find((one) => one.value.split("/").pop() === series);
  if (!option) return;
  choice.value = option.value;
  section.querySelector("[data-shown]").alt = "";
  section.dataset.scroller = `${option.value}/pictures`;
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting || scrollers.has(target)) continue;
    seen.unobserve(target);
    if ("main" in target.dataset) chooseAddressed(target);
    scrollers.set(target, new Scroller(target));
  }
}, { rootMargin: "300px" });

for (const section of document.querySelectorAll("[data-scroller]")) seen.observe(section);

addEventListener("hashchange", () => {
  const section = document.querySelector("[data-scroller][data-main]"), scroller = section && scrollers.get(section);
  if (!scroller?.total) return;
  const asked = addressed();
  if (asked.get("window") !== (scroller.window || null)) scroller.setWindow(asked.get("window") || "", false);
  if (Number(asked.get("picture"))) scroller.want(Number(asked.get("picture")), false);
});
