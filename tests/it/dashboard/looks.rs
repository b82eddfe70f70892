//! Light, dark, on a phone; and without a mouse.

use super::*;

/// Keys as WebDriver names them.
const TAB: char = '\u{e004}';
const SHIFT: char = '\u{e008}';
const RIGHT: char = '\u{e014}';
const PAGE_UP: char = '\u{e00e}';

/// The colours of the page and of the chart within it, and of its text.
const COLOURS: &str = "[getComputedStyle(document.body).backgroundColor, \
    getComputedStyle(document.querySelector('.panel')).backgroundColor, \
    getComputedStyle(document.querySelector('#chart .main-svg')).backgroundColor, \
    getComputedStyle(document.querySelector('#chart .xtick text')).fill]";

/// Red, green and blue of `rgb(…)`, added up.
fn brightness(colour: &Value) -> u32 {
    let numbers = colour.as_str().unwrap().trim_start_matches(|c: char| !c.is_ascii_digit());
    numbers.split(',').take(3).map(|part| part.trim_matches([' ', ')']).parse::<u32>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_light_or_dark_as_its_reader_likes_and_fits_a_phone() {
    let demo = Demo::start().await;
    let (start, end) = demo.hole().await;
    let view = (start - 60 * DAY_MILLIS, end + 40 * DAY_MILLIS);
    let browser = demo.browser(Some(view)).await;
    // All of it in one picture.
    let height = browser.value("document.documentElement.scrollHeight").await.as_u64().unwrap();
    let whole = u32::try_from(height).unwrap();
    browser.resize(WIDE.0, whole).await;
    browser.prefer_dark(false).await;
    browser.until(DRAWN).await;
    let light = browser.value(COLOURS).await;
    browser.screenshot("light").await;
    assert!(
        brightness(&light[0]) > 600 && brightness(&light[2]) > 600 && brightness(&light[3]) < 200,
        "{light}"
    );
    assert_eq!(light[1], light[2], "the chart has the colour of its panel");

    browser.prefer_dark(true).await;
    browser.until(&format!("({COLOURS})[2] !== {}", light[2])).await;
    let dark = browser.value(COLOURS).await;
    browser.screenshot("dark").await;
    assert!(brightness(&dark[0]) < 150 && brightness(&dark[2]) < 150 && brightness(&dark[3]) > 500, "{dark}");
    assert_eq!(dark[1], dark[2], "the chart has the colour of its panel");

    browser.prefer_dark(false).await;
    browser.resize(390, 844).await;
    browser.until("document.querySelector('#chart .main-svg').clientWidth < 390").await;
    browser.until(DRAWN).await;
    let widths = browser.value("[document.documentElement.scrollWidth, innerWidth]").await;
    assert_eq!(widths, json!([390, 390]), "nothing sticks out");
    let small = "[...document.querySelectorAll('button, select, input')].filter((part) => part.offsetParent && \
        !part.matches('.link') && part.getBoundingClientRect().height < 30).map((part) => part.outerHTML)";
    assert_eq!(browser.value(small).await, json!([]), "fingers can hit everything");
    browser.screenshot("phone").await;
    let height = browser.value("document.documentElement.scrollHeight").await.as_u64().unwrap();
    browser.resize(390, u32::try_from(height).unwrap()).await;
    browser.until(DRAWN).await;
    browser.screenshot("phone-whole").await;
    assert_clean(&browser, &demo.url).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_is_enough() {
    let demo = Demo::start().await;
    let browser = demo.browser(None).await;
    // From the top: everything can be reached in the order in which it is read, and is seen to be.
    let focused = "((part) => [part.id || part.dataset.do || part.dataset.asset || part.tagName, \
        getComputedStyle(part).outlineStyle])(document.activeElement)";
    let mut order = Vec::new();
    for _ in 0..40 {
        browser.press(&[TAB], false).await;
        let part = browser.value(focused).await;
        assert!(part[0] == "BODY" || part[1] != "none", "{part} has the focus, and nothing shows it");
        order.push(part[0].as_str().unwrap().to_owned());
    }
    let at = |name: &str| {
        order.iter().position(|part| part == name).unwrap_or_else(|| panic!("{name}: {order:?}"))
    };
    for pair in
        ["asset", "earlier", "in", "whole", "hole-after", "chart", "BTC", "LINK", "key", "forget"].windows(2)
    {
        assert!(at(pair[0]) < at(pair[1]), "{pair:?}: {order:?}");
    }
    // The chart by its keys.
    browser.value("document.querySelector('#chart').focus()").await;
    let (from, to) = view(&browser).await;
    browser.press(&['+'], false).await;
    let length = "((given) => Date.parse(given.get('to')) - Date.parse(given.get('from')))\
        (new URLSearchParams(location.hash.slice(1)))";
    browser.until(&format!("{length} < {}", to - from)).await;
    browser.press(&[SHIFT, RIGHT], true).await;
    let shown = view(&browser).await;
    let rows = demo.rows("12h", shown).await;
    let first = rows.iter().find(|row| millis(&row["timestamp"]) >= shown.0).unwrap();
    browser.until(&format!("{LABEL}?.includes({})", first["volume"])).await;
    browser.press(&[PAGE_UP], false).await;
    browser.until("document.querySelector('#shown').innerText.includes('filled')").await;
    let (start, end) = demo.hole().await;
    let (from, to) = view(&browser).await;
    assert!(from < start && to > end, "page up leads to the hole before");
    browser.press(&['0'], false).await;
    browser.until("document.querySelector('#chart').dataset.interval === '3d'").await;
    let label = browser.value("document.querySelector('#chart').getAttribute('aria-label')").await;
    assert!(label.as_str().unwrap().contains("chart of BTC"), "{label}");
    assert_clean(&browser, &demo.url).await;
    browser.close().await;
}
