use super::*;

/// One character per token, ids by code point, in lower case; `q` has no token of its own.
fn tokenizer() -> Tokenizer {
    let mut vocab = serde_json::Map::new();
    for (id, word) in ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].iter().enumerate() {
        vocab.insert((*word).into(), id.into());
    }
    let words =
        ["alpha", "beta", "gamma", "delta", "cafe", "one", "two", "three", "four", "five", "six", "seven", "eight"];
    for word in words {
        vocab.insert(word.into(), vocab.len().into());
    }
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
    });
    Tokenizer::from_bytes(json.to_string().as_bytes(), 40, 12).unwrap()
}

fn row(line: usize, text: &str, label: usize) -> Row {
    let contributor = Some(Contributor::Name(format!("C{line}")));
    Row { place: place("r.jsonl", line), text: text.into(), label, contributor, licence: String::new() }
}

fn scrubbed(texts: &[&str]) -> Scrubbed {
    let rows = (1..).zip(texts).map(|(line, text)| row(line, text, 0)).collect();
    scrub(Rows { rows, rejections: vec![] }, &tokenizer())
}

fn reasons(scrubbed: &Scrubbed) -> Vec<(usize, String)> {
    scrubbed.rejections.iter().map(|r| (r.place.line, r.reason.to_string())).collect()
}

#[test]
fn texts_have_one_form() {
    let scrubbed = scrubbed(&["  alpha\t\nbeta\u{a0}gamma ", "cafe\u{301} one"]);
    let texts: Vec<&str> = scrubbed.candidates.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["alpha beta gamma", "caf\u{e9} one"]);
    assert_eq!(scrubbed.candidates[0].ids, [2, 4, 5, 6, 3]);
    assert!(scrubbed.rejections.is_empty());
}

#[test]
fn each_rejection_says_why() {
    let long = "alpha ".repeat(11);
    let texts = [
        "alpha beta",
        "",
        " \n ",
        &long,
        "alpha\0beta",
        "alpha \u{202e}beta",
        "al\u{200b}pha",
        "\u{feff}alpha",
        "alpha\u{e0041}",
        "alpha  beta",
        "ALPHA beta",
        "\u{1f468}\u{200d}\u{1f469} family",
    ];
    let scrubbed = scrubbed(&texts);
    let expected = [
        (2, "no text"),
        (3, "no text"),
        (4, "longer than 12 tokens"),
        (5, "character U+0000 is not allowed in the text"),
        (6, "character U+202E is not allowed in the text"),
        (7, "character U+200B is not allowed in the text"),
        (8, "character U+FEFF is not allowed in the text"),
        (9, "character U+E0041 is not allowed in the text"),
        // The same text, and the same tokens.
        (10, "the same text as r.jsonl, line 1"),
        (11, "the same text as r.jsonl, line 1"),
    ];
    assert_eq!(reasons(&scrubbed), expected.map(|(line, reason)| (line, reason.to_owned())));
    assert_eq!(scrubbed.candidates.len(), 2);
}

/// The first row is kept, whoever brought the others and whatever they call it.
#[test]
fn the_first_of_equal_texts_is_kept() {
    let rows = vec![row(1, "alpha beta", 1), row(2, "alpha beta", 0), row(3, "alpha beta", 1)];
    let scrubbed = scrub(Rows { rows, rejections: vec![] }, &tokenizer());
    assert_eq!(scrubbed.candidates.len(), 1);
    assert_eq!(scrubbed.candidates[0].label, 1);
    assert_eq!(scrubbed.candidates[0].contributor, Some(Contributor::Name("C1".into())));
    let expected = [
        (2, "the same text as r.jsonl, line 1, under another label".to_owned()),
        (3, "the same text as r.jsonl, line 1".to_owned()),
    ];
    assert_eq!(reasons(&scrubbed), expected);
}

#[test]
fn names_and_licences_are_scrubbed_too() {
    let mut rows = vec![row(1, "alpha", 0), row(2, "beta", 0), row(3, "gamma", 0), row(4, "delta", 0)];
    rows[0].contributor = Some(Contributor::Name("Jose\u{301}  M".into()));
    rows[1].contributor = Some(Contributor::Name("A\u{202e}B".into()));
    rows[2].contributor = Some(Contributor::Name("x".repeat(257)));
    rows[3].licence = "MI\u{200b}T".into();
    let scrubbed = scrub(Rows { rows, rejections: vec![] }, &tokenizer());
    assert_eq!(scrubbed.candidates[0].contributor, Some(Contributor::Name("Jos\u{e9} M".into())));
    let reasons = reasons(&scrubbed);
    assert_eq!(reasons[0].1, "character U+202E is not allowed in the contributor");
    assert!(reasons[1].1.contains("more than 256 bytes"));
    assert_eq!(reasons[2].1, "character U+200B is not allowed in the licence");
}

#[test]
fn words_are_folded() {
    let set = |words_of: &str| words(words_of).into_iter().collect::<Vec<_>>();
    assert_eq!(set("The CAT, the caf\u{e9}!"), ["cafe", "cat", "the"]);
    assert_eq!(set("\u{ff26}ull \u{fb01}ne"), ["fine", "full"]);
    assert_eq!(set("li\u{ad}br\u{200d}ary"), ["library"]);
    assert_eq!(set("\u{6f22}\u{5b57}abc"), ["abc", "\u{5b57}", "\u{6f22}"]);
    assert_eq!(set("!? !"), ["!", "?"]);
    assert!(set("").is_empty());
}

fn weights(texts: &[&str]) -> Vec<Option<u8>> {
    let scrubbed = scrubbed(texts);
    assert!(scrubbed.rejections.is_empty(), "{:?}", scrubbed.rejections);
    weigh(&scrubbed.candidates.iter().collect::<Vec<_>>()).weights
}

#[test]
fn near_duplicates_share_a_weight() {
    let texts = [
        "one two three four five six seven",
        "alpha beta",
        "seven six five four three two one",
        "one two three four five six seven eight",
        "one two three four five alpha beta",
    ];
    assert_eq!(weights(&texts), [Some(80), Some(240), Some(80), Some(80), Some(240)]);
}

/// The 241st of a cluster is out, and the others weigh one each.
#[test]
fn a_cluster_has_240_rows() {
    let text = "one two three four five six seven eight";
    let candidate = |line| Candidate {
        place: place("r.jsonl", line),
        text: if line == 100 { "alpha".into() } else { text.into() },
        ids: vec![2, 3],
        label: 0,
        contributor: None,
        licence: String::new(),
    };
    let candidates: Vec<Candidate> = (0..244).map(candidate).collect();
    let weighed = weigh(&candidates.iter().collect::<Vec<_>>());
    assert_eq!(weighed.weights[100], Some(240));
    let out: Vec<usize> = (0..244).filter(|&i| weighed.weights[i].is_none()).collect();
    assert_eq!(out, [241, 242, 243]);
    assert!((0..241).filter(|&i| i != 100).all(|i| weighed.weights[i] == Some(1)));
    assert_eq!(
        crowded(&candidates[241], &candidates[weighed.leaders[241]]).to_string(),
        "r.jsonl, line 241: one of more than 240 near-duplicates of r.jsonl, line 0"
    );
}
