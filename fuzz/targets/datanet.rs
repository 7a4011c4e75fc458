//! A datanet that decodes is written back as a file that decodes to the same. All of it but the report, which is JSON and bound
//! to nothing, has one form; a report is written back in its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica::files::DatanetFile;
use lorica_fuzz::with_keccak;

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(datanet) = DatanetFile::decode(bytes) {
            let written = datanet.encode();
            let again = DatanetFile::decode(&written).expect("what was written");
            assert!(again.encode() == written, "written otherwise");
            // The report, with its length before it, is the last part before the digest.
            let report = serde_json::to_vec(&datanet.report).expect("JSON").len();
            let before = written.len() - 32 - report - 4;
            assert!(bytes.get(..before) == written.get(..before), "another form of what is no report");
        }
    });
});
