//! The numbering plans of all countries, from libphonenumber's metadata and
//! [rules](https://github.com/google/libphonenumber/blob/master/java/libphonenumber/src/com/google/i18n/phonenumbers/PhoneNumberUtil.java).
//! The `phonenumber` crate drops leading zeros before it classifies a number, but they are significant in Italy, Côte
//! d'Ivoire and elsewhere. This module therefore uses only its metadata and matches every pattern against the whole number.

use phonenumber::{
    Metadata, Type,
    metadata::{DATABASE, Descriptor},
};
use regex_lite::{Regex, RegexBuilder};

/// The kinds of numbers, in the order in which libphonenumber tests them. The kind of a number is the first one whose pattern
/// matches.
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
/// The maximum length of a country code, in digits.
const MAX_COUNTRY_CODE: usize = 3;

/// A number that a numbering plan assigns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AssignedNumber {
    /// Country code and national number, leading zeros included.
    pub(super) digits: String,
    pub(super) kind: Type,
    /// The two letters of ISO 3166; none for a number that belongs to no country.
    pub(super) country: Option<&'static str>,
}

/// Decodes the metadata, which takes 0.1 s. Without this call, the first use of the metadata decodes it.
pub(super) fn load() {
    let _ = DATABASE.iter().next();
}

/// Parses the digits of an international number, with or without a national prefix after the country code. None if no numbering
/// plan assigns the number.
pub(super) fn parse(digits: &str) -> Option<AssignedNumber> {
    let (code, regions, national) = (1..=MAX_COUNTRY_CODE).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        let regions = DATABASE.by_code(&code.parse::<u16>().ok()?)?;
        (!code.starts_with('0')).then_some((code, regions, national))
    })?;
    let national = without_national_prefix(regions.first()?, national);
    // Several regions may share a country code, such as +1. The number belongs to the first region that fits: one with leading
    // digits fits if the number begins with them, and any other one if its plan assigns the number.
    let (region, kind) = regions.iter().find_map(|region| {
        let leading_digits = region.leading_digits().filter(|_| regions.len() > 1);
        let kind = kind_in(region, &national);
        match leading_digits {
            Some(digits) => matches_start(digits.as_str(), &national).then_some((region, kind)),
            None => (kind.is_some() || regions.len() == 1).then_some((region, kind)),
        }
    })?;
    let country = Some(region.id()).filter(|id| id.len() == 2);
    Some(AssignedNumber { digits: format!("{code}{national}"), kind: kind?, country })
}

/// Removes the prefix that is dialled only within the country. Keeps it if the number would otherwise have an impossible
/// length, or if the number is valid only with it. `main_region` is the first region of the country code, whose rules apply to
/// all numbers with this code.
fn without_national_prefix(main_region: &Metadata, national: &str) -> String {
    let unchanged = national.to_owned();
    let prefix = match main_region.national_prefix_for_parsing() {
        Some(prefix) => Some(prefix.as_str()),
        None => main_region.national_prefix(),
    };
    let Some(captures) = prefix.and_then(|prefix| pattern(&format!("^(?:{prefix})")).captures(national))
    else {
        return unchanged;
    };
    let end = captures.get(0).map_or(0, |prefix| prefix.end());
    // A rule applies only if the last group of the prefix's pattern matched, or if the pattern has no groups.
    let last_group = captures.get(captures.len() - 1).filter(|_| captures.len() > 1);
    let stripped = match main_region.national_prefix_transform_rule() {
        Some(rule) if last_group.is_some() || captures.len() == 1 => {
            let mut replaced = String::new();
            // `$1` followed by a digit would refer to another group; `${1}` does not.
            captures.expand(&pattern(r"\$(\d)").replace_all(rule, "$${$1}"), &mut replaced);
            replaced + &national[end..]
        }
        _ => national[end..].to_owned(),
    };
    let general = main_region.descriptors().general();
    let is_valid_only_with_prefix = matches_whole(general, national) && !matches_whole(general, &stripped);
    if is_valid_only_with_prefix || !has_possible_length(main_region, &stripped) {
        return unchanged;
    }
    stripped
}

/// The kind of a national number in a region's plan; none if the plan does not assign the number.
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

/// Whether some number of the region has this length. A length above every possible one is accepted, too, as in libphonenumber.
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
                let number = parse(&digits).unwrap_or_else(|| panic!("{digits} of {}", region.id()));
                assert_eq!(number.digits, digits, "{}", region.id());
                assert!(matches!(number.kind, Type::FixedLine | Type::Mobile));
                examples += 1;
            }
        }
        assert!(examples > 450, "{examples}");
    }
}
