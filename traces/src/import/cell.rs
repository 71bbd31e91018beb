//! Numbers and times from the bytes of a field, without a `String` between.

use super::error::Bad;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use policies::Span;

/// Microseconds in a second, as the unit of a column.
pub(crate) const SECOND: u64 = 1_000_000;
/// No time or duration may exceed this many microseconds (3,170 years): sums and products then stay in range.
pub(crate) const MICROS_MAX: i128 = 100_000_000_000_000_000;

/// A field with its column's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    pub column: &'a str,
    pub bytes: &'a [u8],
}

/// When: an offset from the trace's beginning, or a calendar time as microseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When {
    pub micros: u64,
    pub absolute: bool,
}

/// A plain number of seconds from here on (2001-09-09) can only be a Unix time.
const UNIX_FROM_MICROS: u64 = 1_000_000_000 * SECOND;

impl<'a> Cell<'a> {
    pub(crate) fn bad(&self, expected: impl Into<String>) -> Bad {
        Bad::new(self.column, self.bytes, expected)
    }

    /// Whether the source left it empty or wrote one of the usual words for that.
    pub(crate) fn is_missing(&self) -> bool {
        let text = self.bytes;
        text.is_empty()
            || (text.len() <= 7
                && [&b"nan"[..], b"na", b"n/a", b"none", b"null", b"unknown", b"-", b"nat"]
                    .iter()
                    .any(|word| text.eq_ignore_ascii_case(word)))
    }

    /// A duration in `unit` microseconds, or a clock duration (`[D-]HH:MM:SS`).
    pub(crate) fn span(&self, unit: u64) -> Result<Span, Bad> {
        let micros = if self.bytes.contains(&b':') { clock(self.bytes) } else { decimal(self.bytes, unit) };
        match micros {
            Some(micros) if (0..=MICROS_MAX).contains(&micros) => Ok(Span(micros as u64)),
            _ => Err(self.bad(format!("a duration of 0 to 1e11 seconds{}", unit_name(unit)))),
        }
    }

    /// The same, `None` where missing.
    pub(crate) fn span_opt(&self, unit: u64) -> Result<Option<Span>, Bad> {
        if self.is_missing() { Ok(None) } else { self.span(unit).map(Some) }
    }

    /// A time: a number in `unit` microseconds (a Unix time from 10^9 seconds on) or a calendar date with a time.
    pub(crate) fn when(&self, unit: u64) -> Result<When, Bad> {
        if let Some(micros) = calendar(self.bytes) {
            return Ok(When { micros, absolute: true });
        }
        match decimal(self.bytes, unit) {
            Some(micros) if (0..=MICROS_MAX).contains(&micros) => {
                let micros = micros as u64;
                Ok(When { micros, absolute: micros >= UNIX_FROM_MICROS })
            }
            _ => Err(self.bad(format!("a time of 0 to 1e11 seconds{} or YYYY-MM-DD HH:MM:SS", unit_name(unit)))),
        }
    }

    /// The same, `None` where missing.
    pub(crate) fn when_opt(&self, unit: u64) -> Result<Option<When>, Bad> {
        if self.is_missing() { Ok(None) } else { self.when(unit).map(Some) }
    }

    /// An offset in `unit` microseconds, never taken for a Unix time.
    pub(crate) fn offset(&self, unit: u64) -> Result<When, Bad> {
        let span = self.span(unit).map_err(|_| self.bad(format!("a time of 0 to 1e11 seconds{}", unit_name(unit))))?;
        Ok(When { micros: span.0, absolute: false })
    }

    /// A calendar time.
    pub(crate) fn date(&self) -> Result<When, Bad> {
        let micros = calendar(self.bytes).ok_or_else(|| self.bad("a date and time, YYYY-MM-DD HH:MM:SS"))?;
        Ok(When { micros, absolute: true })
    }

    /// A whole number from 0 (`8` or `8.0`).
    pub(crate) fn count(&self) -> Result<u32, Bad> {
        let micros = decimal(self.bytes, SECOND);
        match micros {
            Some(micros) if micros >= 0 && micros % 1_000_000 == 0 && micros / 1_000_000 <= i128::from(u32::MAX) => {
                Ok((micros / 1_000_000) as u32)
            }
            _ => Err(self.bad("a whole number, 0 or more")),
        }
    }

    /// A number times `scale`, rounded, as unsigned; zero where missing.
    pub(crate) fn scaled(&self, scale: u64) -> Result<u32, Bad> {
        if self.is_missing() {
            return Ok(0);
        }
        match decimal(self.bytes, scale) {
            Some(value) if (0..i128::from(u32::MAX)).contains(&value) => Ok(value as u32),
            _ => Err(self.bad(format!("a number from 0 to {}", u64::from(u32::MAX) / scale))),
        }
    }

    /// A signed whole number, rounded; zero where missing.
    pub(crate) fn signed(&self) -> Result<i32, Bad> {
        if self.is_missing() {
            return Ok(0);
        }
        decimal(self.bytes, 1).and_then(|v| i32::try_from(v).ok()).ok_or_else(|| self.bad("a whole number"))
    }
}

fn unit_name(unit: u64) -> &'static str {
    match unit {
        SECOND => "",
        1_000 => ", given in milliseconds",
        1 => ", given in microseconds",
        60_000_000 => ", given in minutes",
        3_600_000_000 => ", given in hours",
        _ => ", in the column's unit",
    }
}

/// `text` times `unit`, rounded half away from zero; exact for up to 18 digits before and after the point.
/// `None` for anything but a finite decimal number.
pub(crate) fn decimal(text: &[u8], unit: u64) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
    let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or(&[]));
    if whole.len() > 18 || fraction.len() > 18 || whole.len() + fraction.len() == 0 {
        return long_decimal(text, unit);
    }
    let Some(whole) = ascii_digits(whole) else {
        return long_decimal(text, unit);
    };
    let Some(part) = ascii_digits(fraction) else {
        return long_decimal(text, unit);
    };
    let scale = 10i128.pow(fraction.len() as u32);
    let unit = i128::from(unit);
    let value = i128::from(whole) * unit + (i128::from(part) * unit * 2 + scale) / (2 * scale);
    Some(if negative { -value } else { value })
}

/// Exponents, very long fractions: through floating point.
fn long_decimal(text: &[u8], unit: u64) -> Option<i128> {
    if !text.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let scaled = (value * unit as f64).round();
    (scaled.abs() < 1e30).then_some(scaled as i128)
}

fn ascii_digits(text: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// `MM:SS`, `HH:MM:SS[.fraction]` or `D-HH:MM:SS` in microseconds, as Slurm prints durations.
pub(crate) fn clock(text: &[u8]) -> Option<i128> {
    let (days, rest) = match text.iter().position(|b| *b == b'-') {
        Some(0) | None => (0, text),
        Some(at) if at <= 6 => (ascii_digits(&text[..at])?, &text[at + 1..]),
        Some(_) => return None,
    };
    let fields: Vec<&[u8]> = rest.split(|b| *b == b':').collect();
    let (last, front) = fields.split_last()?;
    if front.is_empty() || front.len() > 2 || front.iter().chain([last]).any(|f| f.is_empty() || f.len() > 16) {
        return None;
    }
    let mut minutes = 0;
    for field in front {
        minutes = minutes * 60 + i128::from(ascii_digits(field)?);
    }
    let hours_missing = front.len() == 1 && days > 0;
    let seconds = decimal(last, SECOND).filter(|s| *s >= 0 && !hours_missing)?;
    Some((i128::from(days) * 1440 + minutes) * 60_000_000 + seconds)
}

/// Microseconds since 1970 of `YYYY-MM-DD[ T]HH:MM[:SS[.fraction]][zone]`, also with `/`. Zones: `Z`, ` UTC`, `+HH:MM`,
/// `+HHMM`; without one the time is taken as UTC, since none of the formats says otherwise. From 1970 to 9999.
pub(crate) fn calendar(text: &[u8]) -> Option<u64> {
    let separator = *text.get(4)?;
    if separator != b'-' && separator != b'/' {
        return None;
    }
    let mut rest = text;
    let mut number = |after: &[u8]| -> Option<i64> {
        let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let value = if (1..=4).contains(&end) {
            ascii_digits(&rest[..end])? as i64
        } else {
            return None;
        };
        rest = &rest[end..];
        if !after.is_empty() {
            rest = rest.split_first().filter(|(b, _)| after.contains(b))?.1;
        }
        Some(value)
    };
    let (year, month) = (number(&[separator])?, number(&[separator])?);
    let (day, hour) = (number(b" T")?, number(b":")?);
    let minute = number(b"")?;
    let mut micros = 0;
    if let Some((b':', seconds)) = rest.split_first() {
        let end = seconds.iter().position(|b| !b.is_ascii_digit() && *b != b'.').unwrap_or(seconds.len());
        micros = decimal(&seconds[..end], SECOND).filter(|m| (0..60_000_000).contains(m))? as i64;
        rest = &seconds[end..];
    }
    let zone_s = zone(rest)?;
    let whole = |value: i64| i8::try_from(value).ok();
    let civil = DateTime::new(year as i16, whole(month)?, whole(day)?, whole(hour)?, whole(minute)?, 0, 0).ok()?;
    let unix_s = civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second() - zone_s;
    u64::try_from(unix_s).ok().map(|s| s * SECOND + micros as u64)
}

/// Seconds east of UTC.
fn zone(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (sign, digits) = match text {
        b"" | b"Z" | b"UTC" | b"GMT" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, &b"0"[..]),
        4 => digits.split_at(2),
        5 if digits[2] == b':' => (&digits[..2], &digits[3..]),
        _ => return None,
    };
    Some(sign * (ascii_digits(hours)? as i64 * 3600 + ascii_digits(minutes)? as i64 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal(b"651507.0", SECOND), Some(651_507_000_000));
        assert_eq!(decimal(b"487.661836", SECOND), Some(487_661_836));
        assert_eq!(decimal(b"0.0000005", SECOND), Some(1));
        assert_eq!(decimal(b"-1.5", 1000), Some(-1500));
        assert_eq!(decimal(b"1e3", SECOND), Some(1_000_000_000));
        assert_eq!(decimal(b".5", 10), Some(5));
        for bad in [&b""[..], b"nan", b"inf", b"-", b".", b"1.2.3", b"0x10", b"1,5", b"1e400"] {
            assert_eq!(decimal(bad, SECOND), None, "{bad:?}");
        }
    }

    #[test]
    fn calendar_times_with_and_without_zone() {
        let base = 1_507_338_699 * SECOND;
        for text in ["2017-10-07 01:11:39", "2017-10-07T01:11:39Z", "2017/10/7 01:11:39", "2017-10-07T03:11:39+02:00"] {
            assert_eq!(calendar(text.as_bytes()), Some(base), "{text}");
        }
        assert_eq!(calendar(b"2023/7/15 02:19"), Some(1_689_387_540 * SECOND));
        for bad in ["2017-13-07 01:11:39", "2017-10-07", "1969-01-01 00:00:00", "2017-10-07 01:11:99", "x", "12345"] {
            assert_eq!(calendar(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn clock_durations() {
        assert_eq!(clock(b"1-02:03:04"), Some(93_784_000_000));
        assert_eq!(clock(b"00:05"), Some(5_000_000));
        assert_eq!(clock(b"05:10.5"), Some(310_500_000));
        for bad in [&b"1-02:03"[..], b":", b"a:b", b"1:2:3:4", b"-1:00:00"] {
            assert_eq!(clock(bad), None, "{bad:?}");
        }
    }
}
