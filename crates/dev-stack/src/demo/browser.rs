//! What a browser and its user do on Google's consent page.

use anyhow::{Context, Result, ensure};
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

/// Opens the page, agrees as `email`, and returns where Google sends the browser then.
pub(super) async fn agree(page: Url, email: &str) -> Result<Url> {
    // The last redirect leads to the host app, which takes it from there.
    let client = Client::builder().redirect(Policy::none()).build()?;
    let html = client.get(page.clone()).send().await?.error_for_status()?.text().await?;
    let form = html.split_once("<form ").context("the consent page has no form")?.1;
    let action = page.join(&attribute(form, "action").context("the form has no action")?)?;

    let mut fields: Vec<(String, String)> = form
        .split("<input ")
        .filter(|input| attribute(input, "type").as_deref() == Some("hidden"))
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
        .collect();
    fields.push(("email".into(), email.into()));
    fields.push(("decision".into(), "allow".into()));
    let answer = client.post(action).form(&fields).send().await?;
    let status = answer.status();
    ensure!(status.is_redirection(), "expected the consent page to send the browser on; saw {status}");
    let location = answer.headers().get(LOCATION).context("the redirect has no location")?;
    Ok(Url::parse(location.to_str()?)?)
}

/// The value of the first attribute of this name.
fn attribute(html: &str, name: &str) -> Option<String> {
    let (_, value) = html.split_once(&format!("{name}=\""))?;
    let (value, _) = value.split_once('"')?;
    // The ampersand last, or what it stands before would be read twice.
    Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}
