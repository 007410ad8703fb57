"""The page in a real browser: a headless Chromium over a server of this process; skipped where there is none."""

import shutil

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from served import DOCUMENTS, HOSTILE, running, served

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium and chromium-driver"
)


@pytest.fixture(scope="module")
def url():
    with running(served()) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1200,900",
        "--force-prefers-reduced-motion",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    except WebDriverException as error:
        pytest.skip(f"chromium does not start here: {error.msg}")
    yield driver
    driver.quit()


def wait(browser, holds):
    """A list may be replaced while it is read."""
    return WebDriverWait(browser, 20, 0.05, [StaleElementReferenceException]).until(lambda driver: holds())


def parts(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def texts(browser, selector):
    return browser.execute_script("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector)


def searched(browser, url, address):
    browser.get(f"{url}/{address}")
    wait(browser, lambda: parts(browser, ".list") and parts(browser, "#lists[aria-busy=false]"))


def test_two_rows_side_by_side_with_docids_being_written_grades_and_proofs(browser, url):
    searched(browser, url, "?q=sort+an+array&k=5")
    assert [name.split("\n")[0].rsplit(" ", 2)[0] for name in texts(browser, "h2")] == ["GR2S", "BM25"]
    left, right = (part.rect for part in parts(browser, ".list"))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    wait(browser, lambda: parts(browser, ".token"))
    model, _ = parts(browser, ".list")
    first = model.find_elements(By.CSS_SELECTOR, ".hit")[0]
    written = first.find_elements(By.CSS_SELECTOR, ".token")
    assert written[-1].text.startswith("end")
    assert all("%" in token.text for token in written)
    chips = {
        hit.find_element(By.CSS_SELECTOR, ".title").text: hit.find_element(By.CSS_SELECTOR, ".chip").text
        for hit in model.find_elements(By.CSS_SELECTOR, ".hit")
    }
    assert chips["Sorting arrays"] == "grade 4"
    assert chips["Path"] == "not relevant"
    assert chips["d4"] == "not judged"  # a document without a title is named by its id
    assert any("Proven" in text for text in texts(browser, ".proof"))
    assert "Judged: 2 of 2 relevant documents found." in texts(browser, ".judgements")


def test_html_in_titles_and_texts_is_shown_as_text(browser, url):
    searched(browser, url, "?q=arrays&row=BM25")
    assert HOSTILE in texts(browser, ".title")
    next(part for part in parts(browser, ".title") if part.text == HOSTILE).click()
    wait(browser, lambda: "<script>document.title = 'broken'</script>" in " ".join(texts(browser, ".text")))
    assert browser.title == "small: gr2 search"
    assert not parts(browser, ".hit img, .hit script, .hit b")


def test_a_click_shows_the_whole_text_and_another_hides_it(browser, url):
    searched(browser, url, "?q=cubic&row=BM25")
    (title,) = parts(browser, ".title")
    title.click()
    wait(browser, lambda: title.get_attribute("aria-expanded") == "true")
    assert parts(browser, ".text")[0].get_attribute("textContent") == DOCUMENTS[3].text
    title.click()
    wait(browser, lambda: title.get_attribute("aria-expanded") == "false")


def test_filters_hide_hits_and_say_how_many(browser, url):
    searched(browser, url, "?q=sort+an+array&row=GR2S")
    assert parts(browser, "#words")[0].is_displayed()
    parts(browser, "#words")[0].send_keys("keys")
    wait(browser, lambda: [part.text for part in parts(browser, ".title") if part.is_displayed()] == ["Sorting arrays"])
    assert texts(browser, "#shown") == ["1 of 5 hits"]
    parts(browser, "#words")[0].send_keys(Keys.BACKSPACE * 4)
    parts(browser, "#grade option[value='1']")[0].click()
    wait(browser, lambda: texts(browser, "#shown") == ["2 of 5 hits"])


def test_only_documents_with_ids_like_this_are_searched(browser, url):
    searched(browser, url, "?q=array&row=BM25&row=GR2S")
    browser.find_element(By.ID, "only").send_keys("d[12]", Keys.ENTER)
    wait(browser, lambda: set(texts(browser, ".title")) == {"Sorting arrays", HOSTILE})
    assert "only=d%5B12%5D" in browser.current_url


def test_keyboard_alone(browser, url):
    browser.get(url)
    wait(browser, lambda: parts(browser, "#rows input"))
    browser.switch_to.active_element.send_keys("array", Keys.ENTER)  # the query has the focus
    wait(browser, lambda: parts(browser, ".title"))
    assert "q=array" in browser.current_url
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    page = browser.find_element(By.TAG_NAME, "body")

    def focused(key):
        (browser.switch_to.active_element if key != "/" else page).send_keys(key)
        return browser.switch_to.active_element.text

    left, right = (
        [part.text for part in part.find_elements(By.CSS_SELECTOR, ".title")] for part in parts(browser, ".list")
    )
    assert [focused(key) for key in "jjk"] == [left[0], left[1], left[0]]
    assert focused("l") == right[0]
    assert focused("j") == right[1]
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait(browser, lambda: browser.switch_to.active_element.get_attribute("aria-expanded") == "true")
    focused("/")
    assert browser.switch_to.active_element.get_attribute("id") == "query"


def test_the_address_holds_the_query_and_back_returns_to_it(browser, url):
    searched(browser, url, "?q=array&row=BM25&k=5")
    query = browser.find_element(By.ID, "query")
    query.clear()
    query.send_keys("cubic", Keys.ENTER)
    wait(browser, lambda: texts(browser, ".title") == ["d4"])
    browser.back()
    wait(browser, lambda: len(texts(browser, ".title")) > 1)
    assert query.get_attribute("value") == "array"


def test_an_empty_answer_and_a_judged_query(browser, url):
    searched(browser, url, "?q=zzzz&row=BM25")
    assert texts(browser, ".none") == ["No document was found."]
    browser.find_element(By.ID, "draw").click()
    wait(browser, lambda: parts(browser, ".judgements") and parts(browser, ".judgements")[0].is_displayed())


def test_a_phone_shows_one_list_below_the_other_and_nothing_is_cut(browser, url):
    size = browser.get_window_size()
    try:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        )
        searched(browser, url, "?q=sort+an+array")
        wait(browser, lambda: parts(browser, ".token"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        first, second = (part.rect for part in parts(browser, ".list"))
        assert first["y"] + first["height"] <= second["y"]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.set_window_size(**{name: size[name] for name in ("width", "height")})


def test_the_api_page_names_every_route(browser, url):
    browser.get(f"{url}/api")
    wait(browser, lambda: len(parts(browser, "h2")) >= 6)
    assert "POST /api/search" in texts(browser, "h2")


def test_a_server_that_went_away_is_told(browser):
    with running(served()) as url:
        searched(browser, url, "?q=array&row=BM25")
    browser.find_element(By.ID, "query").send_keys(" sort", Keys.ENTER)
    wait(browser, lambda: "does not answer" in browser.find_element(By.ID, "fault").text)
    assert parts(browser, ".title")  # what was found before stays


def test_nothing_was_refused_or_missing(browser, url):
    browser.get_log("browser")
    searched(browser, url, "?q=sort+an+array")
    browser.get(f"{url}/api")
    assert browser.get_log("browser") == []
