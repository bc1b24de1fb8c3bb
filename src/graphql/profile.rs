//! What users say of themselves, take with them, and leave behind.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::{
    context::{auth, viewer},
    types::User,
};
use crate::{
    domain::auth::{Email, FullName, ProfileChanges},
    error::Result,
};

/// Where everything that is kept of a user is streamed.
pub const MY_DATA: &str = "/my-data";

#[derive(Default)]
pub struct ProfileQueries;

#[Object]
impl ProfileQueries {
    /// Everything that is kept of you.
    async fn my_data(&self, ctx: &Context<'_>) -> Result<DataExport> {
        viewer(ctx)?;
        Ok(DataExport { url: MY_DATA.to_owned() })
    }
}

#[derive(Default)]
pub struct ProfileMutations;

#[Object]
impl ProfileMutations {
    /// Changes your profile.
    async fn update_profile(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change; what is left out stays, null takes away.")]
        input: UpdateProfileInput,
    ) -> Result<UpdateProfilePayload> {
        let viewer = viewer(ctx)?;
        let changes = ProfileChanges {
            email: given(input.email, |text| Email::parse(&text))?,
            full_name: given(input.full_name, |text| FullName::parse(&text))?,
        };
        let user = auth(ctx).update_profile(viewer, changes).await?;
        Ok(UpdateProfilePayload { user: User(user) })
    }

    /// Erases the account and everything in it. All sessions end at once, a subscription ends unpaid, and the number is
    /// free.
    async fn delete_account(&self, ctx: &Context<'_>) -> Result<DeleteAccountPayload> {
        let deleted = auth(ctx).delete_account(viewer(ctx)?).await?;
        Ok(DeleteAccountPayload { deleted_id: deleted.into() })
    }
}

/// What an input says: nothing, that a value goes, or another.
#[expect(clippy::option_option, reason = "each says something else")]
fn given<T>(
    input: MaybeUndefined<String>,
    parse: impl FnOnce(String) -> Result<T>,
) -> Result<Option<Option<T>>> {
    match input {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Ok(Some(None)),
        MaybeUndefined::Value(text) => parse(text).map(|value| Some(Some(value))),
    }
}

/// What of a profile is to change; what is left out stays.
#[derive(InputObject)]
pub struct UpdateProfileInput {
    /// Where the user can be written to. Null takes it away.
    email: MaybeUndefined<String>,
    /// 1 to 100 characters. Null takes it away.
    full_name: MaybeUndefined<String>,
}

/// A profile that was changed.
#[derive(SimpleObject)]
pub struct UpdateProfilePayload {
    /// The user as it is now.
    user: User,
}

/// An account that was ended.
#[derive(SimpleObject)]
pub struct DeleteAccountPayload {
    /// The user's id.
    deleted_id: ID,
}

/// Everything that is kept of a user, to be downloaded.
#[derive(SimpleObject)]
pub struct DataExport {
    /// A path of this server that streams it as one JSON document, to a GET with the same Authorization header.
    url: String,
}
