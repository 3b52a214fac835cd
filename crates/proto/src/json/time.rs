//! `Timestamp` as RFC 3339, and `Duration` as seconds.

use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::reapi::Timestamp;
use crate::reapi_action::Duration;

const DAY: i64 = 86_400;
/// The years that RFC 3339 can write: from the first second of year 1 to the last of year 9999.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
/// The most seconds of a span, about ten thousand years.
const SPAN_MAX: u64 = 315_576_000_000;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match write_moment(*self) {
            Some(text) => serializer.serialize_str(&text),
            None => Err(serde::ser::Error::custom("the moment is not in the years 1 to 9999")),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::parse_text(deserializer, "a moment as RFC 3339 writes it", read_moment)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match write_span(*self) {
            Some(text) => serializer.serialize_str(&text),
            None => Err(serde::ser::Error::custom("the span is too long, or its parts have different signs")),
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::parse_text(deserializer, "a span such as 1.5s", read_span)
    }
}

fn write_moment(moment: Timestamp) -> Option<String> {
    if !(FIRST_SECOND..=LAST_SECOND).contains(&moment.seconds) || !(0..1_000_000_000).contains(&moment.nanos) {
        return None;
    }
    let (year, month, day) = date_of(moment.seconds.div_euclid(DAY));
    let second = moment.seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    push_fraction(&mut text, moment.nanos.unsigned_abs());
    text.push('Z');
    Some(text)
}

fn write_span(span: Duration) -> Option<String> {
    let Duration { seconds, nanos } = span;
    let is_one_sign = (seconds >= 0 && nanos >= 0) || (seconds <= 0 && nanos <= 0);
    if !is_one_sign || seconds.unsigned_abs() > SPAN_MAX || nanos.unsigned_abs() >= 1_000_000_000 {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let mut text = format!("{sign}{}", seconds.unsigned_abs());
    push_fraction(&mut text, nanos.unsigned_abs());
    text.push('s');
    Some(text)
}

/// Appends a fraction of a second in 3, 6 or 9 digits, or none.
fn push_fraction(text: &mut String, nanos: u32) {
    let _ = match nanos {
        0 => Ok(()),
        nanos if nanos % 1_000_000 == 0 => write!(text, ".{:03}", nanos / 1_000_000),
        nanos if nanos % 1000 == 0 => write!(text, ".{:06}", nanos / 1000),
        nanos => write!(text, ".{nanos:09}"),
    };
}

fn read_moment(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_at_checked(10)?;
    let (year, month, day) = (digits(date.get(..4)?)?, digits(date.get(5..7)?)?, digits(date.get(8..)?)?);
    let well_formed = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-' && time.starts_with(['T', 't']);
    let (clock, rest) = time.get(1..)?.split_at_checked(8)?;
    let (hour, minute, second) = (digits(clock.get(..2)?)?, digits(clock.get(3..5)?)?, digits(clock.get(6..)?)?);
    let well_formed = well_formed && clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':';
    let (nanos, zone) = fraction(rest)?;
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = if zone.starts_with('+') { 1 } else { -1 };
            let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_once(':')?;
            let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
            (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))?
        }
    };
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !well_formed || !in_range || date_of(days_to(year, month, day)) != (year, month, day) {
        return None;
    }
    let seconds = days_to(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    (FIRST_SECOND..=LAST_SECOND).contains(&seconds).then_some(Timestamp { seconds, nanos })
}

fn read_span(text: &str) -> Option<Duration> {
    let text = text.strip_suffix('s')?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let whole = text.split('.').next()?;
    let seconds = digits(whole).filter(|seconds| seconds.unsigned_abs() <= SPAN_MAX)?;
    let (nanos, rest) = fraction(&text[whole.len()..])?;
    rest.is_empty().then_some(Duration { seconds: sign * seconds, nanos: sign as i32 * nanos })
}

/// The nanoseconds of a fraction of 1 to 9 digits, if there is one, and what stands behind it.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(fraction) = text.strip_prefix('.') else { return Some((0, text)) };
    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let nanos = digits(&fraction[..length])? * 10_i64.pow(9 - length as u32);
    Some((nanos as i32, &fraction[length..]))
}

fn two_digits(text: &str) -> Option<i64> {
    digits(text).filter(|_| text.len() == 2)
}

/// A number of 1 to 12 digits and nothing else.
fn digits(text: &str) -> Option<i64> {
    let plain = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar without a beginning. Years are counted from
/// March, in eras of 400, so that the leap day is the last of its year.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The inverse of [`date_of`] for dates that exist.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
