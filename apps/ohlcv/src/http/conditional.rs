//! Answers that the client has already.

use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Body, Response};

use super::compression::vary_by_coding;

/// The answer without its body if the client says that it has it (RFC 9110, `If-None-Match`).
pub(crate) fn unless_known(known: &[HeaderValue], mut response: Response) -> Response {
    if known.is_empty() {
        return response;
    }
    let Some(tag) = response.headers().get(header::ETAG) else { return response };
    if response.status() != StatusCode::OK || !known.iter().any(|list| names(list, tag)) {
        return response;
    }
    response.set_status(StatusCode::NOT_MODIFIED);
    response.set_body(Body::empty());
    response.headers_mut().remove(header::CONTENT_TYPE);
    // As in the whole answer, which may have come compressed: caches take over what a 304 says.
    vary_by_coding(response.headers_mut());
    response
}

/// The lists of a request.
pub(crate) fn known_tags(request: &HeaderMap) -> Vec<HeaderValue> {
    request.get_all(header::IF_NONE_MATCH).into_iter().cloned().collect()
}

/// Whether a list names a tag; weak and strong ones are the same here.
fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let (Ok(list), Ok(tag)) = (list.to_str(), tag.to_str()) else { return false };
    let tag = opaque(tag);
    list.split(',').any(|listed| listed.trim() == "*" || opaque(listed) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_answer_is_sent_none() {
        for (list, has_it) in [
            (r#"W/"a-1""#, true),
            (r#""a-1""#, true),
            (r#""b", W/"a-1""#, true),
            ("*", true),
            (r#""a""#, false),
            (r#"W/"a-2""#, false),
            ("", false),
        ] {
            let answer = Response::builder().header("etag", r#"W/"a-1""#).body("rows");
            let answer = unless_known(&[HeaderValue::from_static(list)], answer);
            let expected = if has_it { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
            assert_eq!(answer.status(), expected, "{list}");
        }
    }

    #[test]
    fn an_answer_without_a_tag_and_an_error_are_sent_whole() {
        let any = [HeaderValue::from_static("*")];
        assert_eq!(unless_known(&any, Response::builder().body("x")).status(), StatusCode::OK);
        let error = Response::builder().status(StatusCode::NOT_FOUND).header("etag", r#""a""#).body("x");
        assert_eq!(unless_known(&any, error).status(), StatusCode::NOT_FOUND);
    }
}
