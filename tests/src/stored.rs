//! Searches everything that a table stores, byte by byte.

use std::io::Read;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::read::GzDecoder;

/// How many items of a table have one of these texts in some attribute, its name included. Bytes are searched as they
/// are and decompressed. The entries of the table's indexes are searched too, and a text that is only in an index fails
/// the test.
pub async fn items_with(dynamodb: &Client, table: &str, texts: &[&str]) -> usize {
    let description = dynamodb.describe_table().table_name(table).send().await.unwrap().table.unwrap();
    let indexes = description.global_secondary_indexes().iter().map(|index| index.index_name.clone());
    let count = async |index: Option<String>| {
        let (mut count, mut next) = (0, None);
        loop {
            let scan = dynamodb.scan().table_name(table).set_index_name(index.clone());
            let page = scan.set_exclusive_start_key(next).send().await.unwrap();
            let has = |bytes: &[u8]| texts.iter().any(|text| is_part(text.as_bytes(), bytes));
            let items = page.items.unwrap_or_default();
            let found = items.iter().filter(|item| {
                item.iter()
                    .any(|(name, value)| has(name.as_bytes()) || bytes_of(value).iter().any(|one| has(one)))
            });
            count += found.count();
            next = page.last_evaluated_key;
            if next.is_none() {
                return count;
            }
        }
    };
    let items = count(None).await;
    for index in indexes {
        assert!(count(index.clone()).await <= items, "{index:?} has what the table does not have");
    }
    items
}

fn is_part(part: &[u8], whole: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

/// Every text and every sequence of bytes in an attribute.
fn bytes_of(value: &AttributeValue) -> Vec<Vec<u8>> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => vec![text.clone().into_bytes()],
        AttributeValue::B(blob) => {
            let bytes = blob.as_ref().to_vec();
            let mut decompressed = Vec::new();
            let is_gzip = GzDecoder::new(&bytes[..]).read_to_end(&mut decompressed).is_ok();
            if is_gzip { vec![bytes, decompressed] } else { vec![bytes] }
        }
        AttributeValue::L(list) => list.iter().flat_map(bytes_of).collect(),
        AttributeValue::M(fields) => fields
            .iter()
            .flat_map(|(name, value)| [vec![name.clone().into_bytes()], bytes_of(value)].concat())
            .collect(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => {
            texts.iter().map(|text| text.clone().into_bytes()).collect()
        }
        AttributeValue::Bs(blobs) => blobs.iter().map(|blob| blob.as_ref().to_vec()).collect(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => Vec::new(),
        other => panic!("{other:?}"),
    }
}
