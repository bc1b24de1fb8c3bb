//! The days and months of quotas, in the time zone that the operator chose.

use chrono::{DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use entity::Timestamp;

/// Where days and months begin.
#[derive(Clone, Copy, Debug)]
pub struct Calendar(pub Tz);

/// A day, and the first day of its month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    pub date: NaiveDate,
    pub month: NaiveDate,
}

impl Calendar {
    /// The day of a time.
    #[must_use]
    pub fn day(self, at: Timestamp) -> Day {
        let date = at.with_timezone(&self.0).date_naive();
        Day { date, month: first_of_month(date) }
    }

    /// When the day ends.
    #[must_use]
    pub fn next_day(self, day: Day) -> Timestamp {
        self.start_of(day.date + Days::new(1))
    }

    /// When the month ends.
    #[must_use]
    pub fn next_month(self, day: Day) -> Timestamp {
        self.start_of(day.month + Months::new(1))
    }

    /// The first moment of a day. That is not midnight where the clocks are put forward at midnight.
    fn start_of(self, date: NaiveDate) -> Timestamp {
        let quarters =
            (0..96).map(|quarter| date.and_time(NaiveTime::MIN) + TimeDelta::minutes(15 * quarter));
        let starts = quarters.map(|local| match self.0.from_local_datetime(&local) {
            LocalResult::Single(start) | LocalResult::Ambiguous(start, _) => Some(start),
            LocalResult::None => None,
        });
        // A few time zones have skipped a whole day, which then has no moment of its own.
        starts
            .flatten()
            .next()
            .map_or_else(|| date.and_time(NaiveTime::MIN).and_utc(), |start| DateTime::to_utc(&start))
    }
}

fn first_of_month(date: NaiveDate) -> NaiveDate {
    date.with_day(1).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ends(zone: Tz, time: &str) -> (String, String, String) {
        let calendar = Calendar(zone);
        let day = calendar.day(at(time));
        let text = |time: Timestamp| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        (day.date.to_string(), text(calendar.next_day(day)), text(calendar.next_month(day)))
    }

    fn expected(date: &str, next_day: &str, next_month: &str) -> (String, String, String) {
        (date.to_owned(), next_day.to_owned(), next_month.to_owned())
    }

    #[test]
    fn days_and_months_begin_at_local_midnight() {
        assert_eq!(
            ends(Tz::UTC, "2026-12-31T23:59:59Z"),
            expected("2026-12-31", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
        );
        assert_eq!(
            ends(Tz::Asia__Kolkata, "2026-11-30T18:29:59Z"),
            expected("2026-11-30", "2026-11-30T18:30:00Z", "2026-11-30T18:30:00Z")
        );
        assert_eq!(
            ends(Tz::America__Los_Angeles, "2026-11-01T06:59:59Z"),
            expected("2026-10-31", "2026-11-01T07:00:00Z", "2026-11-01T07:00:00Z")
        );
    }

    #[test]
    fn days_with_a_change_of_the_clocks_are_shorter_or_longer() {
        // New York, 2026-03-08: 23 hours; 2026-11-01: 25 hours.
        assert_eq!(ends(Tz::America__New_York, "2026-03-08T05:00:00Z").1, "2026-03-09T04:00:00Z");
        assert_eq!(ends(Tz::America__New_York, "2026-11-01T04:00:00Z").1, "2026-11-02T05:00:00Z");
        // Cairo puts its clocks forward at midnight: 2026-04-24 begins at 01:00, which is 22:00 UTC.
        assert_eq!(ends(Tz::Africa__Cairo, "2026-04-23T12:00:00Z").1, "2026-04-23T22:00:00Z");
    }
}
