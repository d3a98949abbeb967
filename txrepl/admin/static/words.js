// Numbers as people read them.

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];
const SPANS = [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]];

/** Bytes: 512 B, 2.2 KiB. */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${Math.round(value)} B` : `${value.toFixed(value < 100 ? 1 : 0)} ${SIZES[unit]}`;
}

/** Seconds: 7.0 s, 45 min 36 s. */
export function duration(seconds) {
  for (const [large, largeSeconds, small, smallSeconds] of SPANS) {
    if (seconds >= largeSeconds) {
      return `${Math.floor(seconds / largeSeconds)} ${large} ${Math.floor((seconds % largeSeconds) / smallSeconds)} ${small}`;
    }
  }
  return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}

/** Milliseconds: 250 ms, 7.0 s. */
export function milliseconds(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : duration(ms / 1000);
}

/** A number: 1,234,567. */
export function number(value) {
  return value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

/** Bytes per second. */
export function rate(bytesPerSecond) {
  return `${size(bytesPerSecond)}/s`;
}

/** A moment, in the reader's own time. */
export function moment(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** Host and port. */
export function address(host, port) {
  const name = host.includes(":") ? `[${host}]` : host;
  return port ? `${name}:${port}` : name;
}

/** A word of the wire: wait_bgsave_start becomes "wait bgsave start". */
export function spoken(word) {
  return word.replaceAll("_", " ").replaceAll("-", " ");
}
