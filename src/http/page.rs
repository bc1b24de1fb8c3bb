//! The page at `/`.

use async_graphql::http::GraphiQLSource;
use axum::response::Html;

pub(super) async fn show() -> Html<String> {
    Html(
        GraphiQLSource::build()
            .endpoint("/graphql")
            .subscription_endpoint("/graphql")
            .title("Pollux")
            .finish(),
    )
}
