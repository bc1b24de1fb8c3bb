//! The user's profile, data export and account deletion.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use crate::{
    domain::auth::{Email, FullName, ProfileChanges},
    error::Result,
    graphql::{
        engine::context::{auth, viewer},
        types::{DataExport, User},
    },
};

/// The path of the data export.
pub const MY_DATA: &str = "/my-data";

#[derive(Default)]
pub struct ProfileQueries;

#[Object]
impl ProfileQueries {
    /// The export of all data stored about you. Errors: UNAUTHENTICATED.
    async fn my_data(&self, ctx: &Context<'_>) -> Result<DataExport> {
        viewer(ctx)?;
        Ok(DataExport { url: MY_DATA.to_owned() })
    }
}

#[derive(Default)]
pub struct ProfileMutations;

#[Object]
impl ProfileMutations {
    /// Changes your profile. Errors: UNAUTHENTICATED, BAD_USER_INPUT.
    async fn update_profile(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The fields to change. Omitted fields stay unchanged; null clears a field.")]
        input: UpdateProfileInput,
    ) -> Result<UpdateProfilePayload> {
        let viewer = viewer(ctx)?;
        let changes = ProfileChanges {
            email: change_of(input.email, |text| Email::parse(&text))?,
            full_name: change_of(input.full_name, |text| FullName::parse(&text))?,
        };
        let user = auth(ctx).update_profile(viewer, changes).await?;
        Ok(UpdateProfilePayload { user: User(user) })
    }

    /// Deletes your account and all its data. All sessions end at once, a subscription is cancelled without another payment, and
    /// the phone number can be registered again. Errors: UNAUTHENTICATED.
    async fn delete_account(&self, ctx: &Context<'_>) -> Result<DeleteAccountPayload> {
        let deleted = auth(ctx).delete_account(viewer(ctx)?).await?;
        Ok(DeleteAccountPayload { deleted_id: deleted.into() })
    }
}

/// The change of a field: `None` if the field is omitted, `Some(None)` if it is null, and otherwise the parsed value.
#[expect(clippy::option_option, reason = "omitted, null and a value differ")]
fn change_of<T>(
    input: MaybeUndefined<String>,
    parse: impl FnOnce(String) -> Result<T>,
) -> Result<Option<Option<T>>> {
    match input {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Ok(Some(None)),
        MaybeUndefined::Value(text) => parse(text).map(|value| Some(Some(value))),
    }
}

/// The fields of a profile to change. Omitted fields stay unchanged.
#[derive(InputObject)]
pub struct UpdateProfileInput {
    /// The email address. Null clears it.
    email: MaybeUndefined<String>,
    /// The full name: 1 to 100 characters. Null clears it.
    full_name: MaybeUndefined<String>,
}

/// A changed profile.
#[derive(SimpleObject)]
pub struct UpdateProfilePayload {
    /// The user after the change.
    user: User,
}

/// A deleted account.
#[derive(SimpleObject)]
pub struct DeleteAccountPayload {
    /// The id of the deleted user.
    deleted_id: ID,
}
