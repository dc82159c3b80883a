//! `/-/api/v1/profile`: what the gate knows of whoever asks.
//!
//! Belongs here: the answer. Does not: whose credential it is (`accounts`, which says so at `me`), passwords (`accounts`).

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::Answered;
use super::asker::Asker;
use crate::delivery::catalogue::Spot;
use crate::http::date::rfc3339;
use crate::http::problem::Problem;
use crate::policy::access::Right;
use crate::sight::beholder;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(profile))
}

/// What may be done to a hosted channel.
#[derive(Serialize, ToSchema)]
struct Rights {
    channel: String,
    /// `read`, `write`, `manage`
    rights: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct Profile {
    name: String,
    email: Option<String>,
    superuser: bool,
    groups: Vec<String>,
    /// When the account was made.
    created: String,
    /// In the order of the channels' names: what the credential that was shown is good for.
    channels: Vec<Rights>,
}

/// Your account, and the hosted channels that you may read.
#[utoipa::path(get, path = "/profile", tag = "session", operation_id = "getProfile", responses((status = 200, body = Profile)))]
async fn profile(State(control): State<Control>, asker: Asker) -> Answered<Json<Profile>> {
    let who = asker.known()?;
    if who.user.is_none() {
        return Err(Problem::forbidden("this is for people with an account of this gate").into());
    }
    let user = control.people().await?.user(&who.name).await?;
    let spots = control.delivery.spots(&control.live, &beholder(&asker.0)).await;
    let all = [("read", Right::Read), ("write", Right::Write), ("manage", Right::Manage)];
    let rights = |spot: &Spot| {
        let has = |right| control.sight.hosting.check(&asker.0, &spot.name, right, None).is_ok();
        let rights = all.iter().filter(|(_, right)| has(*right)).map(|(word, _)| *word).collect();
        Rights { channel: spot.name.to_string(), rights }
    };
    Ok(Json(Profile {
        name: user.name.clone(),
        email: user.email.clone(),
        superuser: who.is_superuser(),
        groups: who.groups().into_iter().map(str::to_owned).collect(),
        created: rfc3339(user.created),
        channels: spots.iter().filter(|spot| spot.is_hosted()).map(rights).collect(),
    }))
}
