//! The numbering plans of all countries, from libphonenumber's metadata and
//! [rules](https://github.com/google/libphonenumber/blob/master/java/libphonenumber/src/com/google/i18n/phonenumbers/PhoneNumberUtil.java).
//! The `phonenumber` crate drops leading zeros before it classifies a number, but they are significant in Italy, Côte
//! d'Ivoire and elsewhere. This module therefore uses only its metadata and matches every pattern against the whole number.

use phonenumber::{
    Metadata, Type,
    metadata::{DATABASE, Descriptor},
};
use regex_lite::{Regex, RegexBuilder};

/// Kinds of numbers in libphonenumber's order: the first match decides.
const KINDS: [Type; 10] = [
    Type::PremiumRate,
    Type::TollFree,
    Type::SharedCost,
    Type::Voip,
    Type::PersonalNumber,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
    Type::FixedLine,
    Type::Mobile,
];
const MAX_COUNTRY_CODE: usize = 3;

/// A number that a numbering plan assigns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    /// Country code and national number, leading zeros included.
    pub(super) digits: String,
    pub(super) kind: Type,
    /// Two letters; none for a number that belongs to no country.
    pub(super) country: Option<&'static str>,
}

/// Decodes the metadata, which takes 0.1 s. Without this call, the first use does it.
pub(super) fn load() {
    let _ = DATABASE.iter().next();
}

/// Parses the digits of an international number, with or without a national prefix after the country code.
pub(super) fn read(digits: &str) -> Option<Assigned> {
    let (code, regions, national) = (1..=MAX_COUNTRY_CODE).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        let regions = DATABASE.by_code(&code.parse::<u16>().ok()?)?;
        (!code.starts_with('0')).then_some((code, regions, national))
    })?;
    let national = without_national_prefix(regions.first()?, national);
    let (region, kind) = regions.iter().find_map(|region| {
        let leading_digits = region.leading_digits().filter(|_| regions.len() > 1);
        let kind = kind_in(region, &national);
        match leading_digits {
            Some(digits) => matches_start(digits.as_str(), &national).then_some((region, kind)),
            None => (kind.is_some() || regions.len() == 1).then_some((region, kind)),
        }
    })?;
    let country = Some(region.id()).filter(|id| id.len() == 2);
    Some(Assigned { digits: format!("{code}{national}"), kind: kind?, country })
}

/// Removes the prefix that is dialled only within the country, unless the rest would have an impossible length or only the number
/// with the prefix is valid.
fn without_national_prefix(main: &Metadata, national: &str) -> String {
    let whole = national.to_owned();
    let prefix = match main.national_prefix_for_parsing() {
        Some(prefix) => Some(prefix.as_str()),
        None => main.national_prefix(),
    };
    let Some(found) = prefix.and_then(|prefix| pattern(&format!("^(?:{prefix})")).captures(national)) else {
        return whole;
    };
    let end = found.get(0).map_or(0, |prefix| prefix.end());
    let last_group = found.get(found.len() - 1).filter(|_| found.len() > 1);
    let stripped = match main.national_prefix_transform_rule() {
        Some(rule) if last_group.is_some() || found.len() == 1 => {
            let mut replaced = String::new();
            // `$1` followed by a digit would refer to another group; `${1}` does not.
            found.expand(&pattern(r"\$(\d)").replace_all(rule, "$${$1}"), &mut replaced);
            replaced + &national[end..]
        }
        _ => national[end..].to_owned(),
    };
    let general = main.descriptors().general();
    let was_a_number = matches_whole(general, national);
    if was_a_number && !matches_whole(general, &stripped) || !has_possible_length(main, &stripped) {
        return whole;
    }
    stripped
}

fn kind_in(region: &Metadata, national: &str) -> Option<Type> {
    let descriptors = region.descriptors();
    if !matches_whole(descriptors.general(), national) {
        return None;
    }
    KINDS.into_iter().find(|&kind| {
        descriptors.get(kind).is_some_and(|descriptor| {
            descriptor.possible_length().contains(&length(national)) && matches_whole(descriptor, national)
        })
    })
}

/// Whether this length is possible for a number of the region, or longer than every possible one, as in libphonenumber.
fn has_possible_length(region: &Metadata, national: &str) -> bool {
    let descriptors = || KINDS.into_iter().filter_map(|kind| region.descriptors().get(kind));
    descriptors().any(|descriptor| descriptor.possible_length().contains(&length(national)))
        || descriptors().all(|descriptor| {
            descriptor.possible_length().iter().all(|&possible| possible < length(national))
        })
}

fn length(national: &str) -> u16 {
    u16::try_from(national.len()).unwrap_or(u16::MAX)
}

fn matches_whole(descriptor: &Descriptor, national: &str) -> bool {
    pattern(&format!("^(?:{})$", descriptor.national_number().as_str())).is_match(national)
}

fn matches_start(text: &str, national: &str) -> bool {
    pattern(&format!("^(?:{text})")).is_match(national)
}

/// Compiles a pattern at each use instead of caching thousands of them: compiling takes microseconds.
fn pattern(text: &str) -> Regex {
    let compiled = RegexBuilder::new(text).ignore_whitespace(true).build();
    compiled.unwrap_or_else(|error| unreachable!("invalid pattern in the metadata: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_example_numbers_of_every_country() {
        let mut examples = 0;
        for region in DATABASE.iter() {
            for kind in [Type::FixedLine, Type::Mobile] {
                let Some(national) = region.descriptors().get(kind).and_then(Descriptor::example) else {
                    continue;
                };
                let digits = format!("{}{national}", region.country_code());
                let found = read(&digits).unwrap_or_else(|| panic!("{digits} of {}", region.id()));
                assert_eq!(found.digits, digits, "{}", region.id());
                assert!(matches!(found.kind, Type::FixedLine | Type::Mobile));
                examples += 1;
            }
        }
        assert!(examples > 450, "{examples}");
    }
}
