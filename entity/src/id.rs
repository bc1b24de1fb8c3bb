//! Typed, prefixed, time-ordered ids: a UUIDv7 in the database, a [TypeID] such as `msg_01k…` outside.
//!
//! [TypeID]: https://github.com/jetify-com/typeid/tree/main/spec

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// Crockford's base 32, in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_LEN: usize = 26;

/// The text is not an id of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id of this type")
    }
}

impl std::error::Error for InvalidId {}

fn encode(prefix: &str, id: Uuid) -> String {
    let bits = id.as_u128();
    let digits = (0..SUFFIX_LEN).rev().map(|i| ALPHABET[(bits >> (5 * i)) as usize & 31] as char);
    let mut text = String::with_capacity(prefix.len() + 1 + SUFFIX_LEN);
    text.push_str(prefix);
    text.push('_');
    text.extend(digits);
    text
}

fn decode(prefix: &str, text: &str) -> Result<Uuid, InvalidId> {
    let suffix = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(InvalidId)?;
    // 26 digits hold 130 bits, and an id has 128: a first digit above 7 would overflow.
    if suffix.len() != SUFFIX_LEN || suffix.as_bytes()[0] > b'7' {
        return Err(InvalidId);
    }
    suffix
        .bytes()
        .try_fold(0_u128, |bits, digit| {
            let value = ALPHABET.iter().position(|&known| known == digit).ok_or(InvalidId)?;
            Ok(bits << 5 | value as u128)
        })
        .map(Uuid::from_u128)
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sea_orm::DeriveValueType)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The prefix of every id of this type, before the underscore.
            pub const PREFIX: &str = $prefix;

            /// A new id, greater than all that this process has generated before.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode($prefix, self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                decode($prefix, text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )+};
}

typed_ids! {
    UserId = "user";
    OtpId = "otp";
    SessionId = "session";
    ChatroomId = "room";
    MessageId = "msg";
    JobId = "job";
    ShareId = "share";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids are from the TypeID specification's `valid.json`.
    #[test]
    fn ids_are_encoded_and_decoded_as_the_type_id_specification_requires() {
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
        assert_eq!(encode("prefix", uuid), "prefix_01h455vb4pex5vsknk084sn02q");
        assert_eq!(decode("prefix", "prefix_01h455vb4pex5vsknk084sn02q"), Ok(uuid));
        assert_eq!(decode("prefix", "prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz"), Ok(Uuid::max()));
    }

    #[test]
    fn malformed_ids_are_rejected() {
        for text in [
            "",
            "user",
            "user_",
            "room_01h455vb4pex5vsknk084sn02q",
            "user_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "user_01H455VB4PEX5VSKNK084SN02Q",
            "user_01h455vb4pex5vsknk084sn02",
            "user_01h455vb4pex5vsknk084sn0é",
            "user__1h455vb4pex5vsknk084sn02q",
        ] {
            assert_eq!(text.parse::<UserId>(), Err(InvalidId), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<_> = (0..1000).map(|_| MessageId::generate()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().map(ToString::to_string).is_sorted());
    }
}
