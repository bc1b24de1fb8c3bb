//! Profiles: email and full name.

use entity::user;

use super::{Auth, Viewer};
use crate::{
    domain::{
        billing::sync_customer_job,
        text::{is_blank, is_invisible, reject_nul},
    },
    error::{Error, Result},
    store::{commit, jobs, subscriptions, users},
};

/// The 256 of [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3) include two angle brackets around the address.
const MAX_EMAIL_BYTES: usize = 254;
const MAX_NAME_CHARACTERS: usize = 100;

/// A plausible email address. It is not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// # Errors
    /// [`Error::BadInput`].
    pub fn parse(text: &str) -> Result<Self> {
        reject_nul("email", text)?;
        let text = text.trim_matches(is_invisible);
        let is_plausible = text.len() <= MAX_EMAIL_BYTES
            && !text.chars().any(is_invisible)
            && text.rsplit_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && !domain.starts_with('.')
                    && !domain.ends_with('.')
                    && domain.contains('.')
            });
        if is_plausible {
            return Ok(Self(text.to_owned()));
        }
        let message =
            format!("email must be an address such as ada@example.com, of at most {MAX_EMAIL_BYTES} bytes.");
        Err(Error::bad_input("email", message))
    }
}

/// A user's display name, 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullName(String);

impl FullName {
    /// # Errors
    /// [`Error::BadInput`].
    pub fn parse(text: &str) -> Result<Self> {
        reject_nul("fullName", text)?;
        let text = text.trim_matches(is_invisible);
        if (1..=MAX_NAME_CHARACTERS).contains(&text.chars().count())
            && !text.chars().any(char::is_control)
            && !is_blank(text)
        {
            return Ok(Self(text.to_owned()));
        }
        let message = format!(
            "fullName must be 1 to {MAX_NAME_CHARACTERS} visible characters, without control characters."
        );
        Err(Error::bad_input("fullName", message))
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl From<FullName> for String {
    fn from(name: FullName) -> Self {
        name.0
    }
}

/// Changes to a profile. The outer `None` leaves a field unchanged, the inner `None` removes its value.
#[derive(Clone, Debug, Default)]
pub struct ProfileChanges {
    pub email: Option<Option<Email>>,
    pub full_name: Option<Option<FullName>>,
}

impl Auth {
    /// Changes the viewer's profile. If the viewer is a Stripe customer, creates a job that updates the customer.
    pub async fn update_profile(&self, viewer: Viewer, changes: ProfileChanges) -> Result<user::Model> {
        let email = changes.email.map(|email| email.map(String::from));
        let full_name = changes.full_name.map(|name| name.map(String::from));
        let (user, is_customer) = self
            .db
            .with_retry(|| async {
                let now = self.clock.now();
                let tx = self.db.begin().await?;
                let user =
                    users::update_profile(&tx, viewer.user, email.clone(), full_name.clone(), now).await?;
                let user = user.ok_or(Error::Unauthenticated("The account does not exist."))?;
                let is_customer = subscriptions::of_user(&tx, viewer.user)
                    .await?
                    .is_some_and(|stored| stored.customer().is_some());
                if is_customer {
                    jobs::insert(&tx, sync_customer_job(viewer.user, now)).await?;
                }
                commit(tx).await?;
                Ok((user, is_customer))
            })
            .await?;
        if is_customer {
            self.signal_new_job().await;
        }
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_emails_and_names_are_rejected() {
        for email in ["a@b.c", " ada+x@sub.example.com ", "é@exämple.de"] {
            assert!(Email::parse(email).is_ok(), "{email}");
        }
        let long = format!("{}@example.com", "a".repeat(243));
        for email in
            ["", "ada", "@b.c", "a@b", "a@.c", "a@b.", "a b@c.d", "a\n@b.c", "a\0@b.c", "\u{200b}@b.c", &long]
        {
            assert!(Email::parse(email).is_err(), "{email}");
        }
        assert!(FullName::parse("Ada Lovelace").is_ok() && FullName::parse(&"é".repeat(100)).is_ok());
        for name in ["", "  ", "a\nb", "\u{200b}\u{2066}", "\u{3164}", "\u{2800} ", "a\0b", &"a".repeat(101)]
        {
            assert!(FullName::parse(name).is_err(), "{name}");
        }
    }
}
