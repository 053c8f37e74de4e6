// Times as registries write them.
import { Text } from "./edgecache";

const NO_ZONE: i32 = i32.MIN_VALUE;

/** A time of RFC 3339, as in 2026-01-31T12:00:00.5+01:00, in Unix ms; -1: it is none. */
export function unixMs<T>(t: T): i64 {
  if (!isString<T>()) return timeAt(<u32>(<Text>t), <u32>((<Text>t) >> 32));
  const b = String.UTF8.encode(<string>t);
  return timeAt(changetype<usize>(b), b.byteLength);
}

function timeAt(t: usize, n: u32): i64 {
  if (n < 20 || n > 64 || (load<u8>(t, 10) | 32) != 0x74) return -1;
  if (load<u8>(t, 4) != 0x2d || load<u8>(t, 7) != 0x2d || load<u8>(t, 13) != 0x3a || load<u8>(t, 16) != 0x3a) return -1;
  const year = digits(t, 4), month = digits(t + 5, 2), day = digits(t + 8, 2);
  const hour = digits(t + 11, 2), minute = digits(t + 14, 2), second = digits(t + 17, 2);
  if (min(min(min(year, month - 1), min(day - 1, hour)), min(minute, second)) < 0) return -1;
  if (month > 12 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59) return -1;
  let at = t + 19;
  let ms = 0;
  if (load<u8>(at) == 0x2e) {
    let unit = 100;
    for (at++; at < t + n && digits(at, 1) >= 0; at++) {
      ms += unit * digits(at, 1);
      unit /= 10;
    }
    if (at == t + 20) return -1;
  }
  const zone = offset(at, <u32>(t + n - at));
  return zone == NO_ZONE ? -1 : Date.UTC(year, month - 1, day, hour, minute, second, ms) - 60_000 * <i64>zone;
}

/** The minutes that a zone is before UTC. */
function offset(t: usize, n: u32): i32 {
  if (n == 1 && (load<u8>(t) | 32) == 0x7a) return 0;
  if (n != 6 || load<u8>(t, 3) != 0x3a) return NO_ZONE;
  const sign = load<u8>(t), hours = digits(t + 1, 2), minutes = digits(t + 4, 2);
  if ((sign != 0x2b && sign != 0x2d) || min(hours, minutes) < 0 || hours > 23 || minutes > 59) return NO_ZONE;
  return sign == 0x2d ? -60 * hours - minutes : 60 * hours + minutes;
}

/** A number of so many digits; -1: there is none. */
function digits(at: usize, n: u32): i32 {
  let number = 0;
  for (let i: u32 = 0; i < n; i++) {
    const c = <i32>load<u8>(at + i);
    if (c < 0x30 || c > 0x39) return -1;
    number = 10 * number + (c - 0x30);
  }
  return number;
}

function daysOf(year: i32, month: i32): i32 {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}
