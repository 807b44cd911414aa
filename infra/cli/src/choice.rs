//! Which records a command is about: times, and the filters of listings.

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use ingest::State;
use jiff::{SignedDuration, Timestamp};
use records::Filter;

/// How far back a listing goes unless told otherwise: the retention of a new deployment.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A point in time, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// This time.
    At(Timestamp),
    /// So long ago.
    Ago(SignedDuration),
}

/// Reads `2026-11-25T08:30:00Z`, `2026-11-25` (its beginning, in UTC), or `90s`, `30m`, `2h`, `7d` ago.
pub(crate) fn when(text: &str) -> Result<When, String> {
    let wrong = || format!("{text} is no time: write 2026-11-25T08:30:00Z, 2026-11-25, 30m, 2h or 7d");
    if let Ok(at) = text.parse() {
        return Ok(When::At(at));
    }
    if let Ok(at) = format!("{text}T00:00:00Z").parse() {
        return Ok(When::At(at));
    }
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds >= 0).ok_or_else(wrong)?;
    Ok(When::Ago(SignedDuration::from_secs(seconds)))
}

impl When {
    pub(crate) fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.saturating_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

/// A state, as it stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateName {
    /// The queue may not have it yet.
    Pending,
    /// The queue has it.
    Forwarded,
    /// Held until a person decides.
    Conflict,
}

impl From<StateName> for State {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Pending => Self::Pending,
            StateName::Forwarded => Self::Forwarded,
            StateName::Conflict => Self::Conflict,
        }
    }
}

/// A decision, as messages have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum DecisionName {
    /// The payment may proceed.
    Approve,
    /// The payment was rejected.
    Reject,
    /// Information was asked for.
    RequestInformation,
}

/// Which records.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which records")]
pub(crate) struct Choice {
    /// Of this provider, as in umaaas
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Of this kind, as in umaaas.incoming_payment; `umaaas.*` is every kind that begins so
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// In this state now
    #[arg(long)]
    pub state: Option<StateName>,
    /// With this decision
    #[arg(long)]
    pub decision: Option<DecisionName>,
    /// Answered with this HTTP status
    #[arg(long, value_name = "STATUS")]
    pub reply: Option<u16>,
}

impl Choice {
    /// Whether nothing is chosen.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { provider, kind, state, decision, reply } = self;
        provider.is_none() && kind.is_none() && state.is_none() && decision.is_none() && reply.is_none()
    }

    /// The filter.
    pub(crate) fn filter(&self, since: Timestamp, until: Timestamp) -> Filter {
        let decision = self.decision.and_then(|name| name.to_possible_value());
        Filter {
            provider: self.provider.clone(),
            kind: self.kind.clone(),
            state: self.state.map(State::from),
            decision: decision.map(|name| name.get_name().to_owned()),
            reply: self.reply,
            ..Filter::between(since, until)
        }
    }
}

/// From when to when, as options.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PeriodOptions {
    /// From this time on: 2026-11-25T08:30:00Z, 2026-11-25, 30m, 2h, 7d; 90d unless given (`stats`: 24h)
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<When>,
}

impl PeriodOptions {
    /// The period. It begins at `otherwise`, or 90 days ago, unless the options say so.
    pub(crate) fn period(&self, otherwise: Option<When>) -> Result<(Timestamp, Timestamp)> {
        period(self.since.or(otherwise), self.until)
    }
}

/// From when to when.
pub(crate) fn period(since: Option<When>, until: Option<When>) -> Result<(Timestamp, Timestamp)> {
    // What arrives in this moment belongs to it too.
    let now = Timestamp::now().saturating_add(SignedDuration::from_secs(1))?;
    let since = since.unwrap_or(When::Ago(LOOK_BACK)).time(now);
    let until = until.map_or(now, |until| until.time(now));
    if since >= until {
        return Err(anyhow!("--since {since} is not before --until {until}"));
    }
    Ok((since, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let at = |text: &str| When::At(text.parse().unwrap());
        let ago = |seconds| When::Ago(SignedDuration::from_secs(seconds));
        for (text, expected) in [
            ("2026-11-25T08:30:00Z", at("2026-11-25T08:30:00Z")),
            ("2026-11-25T09:30:00+01:00", at("2026-11-25T08:30:00Z")),
            ("2026-11-25", at("2026-11-25T00:00:00Z")),
            ("90s", ago(90)),
            ("30m", ago(1800)),
            ("2h", ago(7200)),
            ("7d", ago(604_800)),
        ] {
            assert_eq!(when(text), Ok(expected), "{text}");
        }
        for wrong in ["", "h", "-1h", "1w", "9223372036854775807d", "yesterday", "\u{20ac}"] {
            assert!(when(wrong).is_err(), "{wrong}");
        }
        assert!(period(Some(When::Ago(SignedDuration::ZERO)), Some(ago(60))).is_err());
    }
}
