//! Ids as Google makes them.

use uuid::Uuid;

/// 26 characters of base32hex, as Google's event ids are.
pub(crate) fn opaque_id() -> String {
    let mut rest = Uuid::new_v4().as_u128();
    let mut id = String::with_capacity(26);
    for _ in 0..26 {
        id.extend(char::from_digit((rest % 32) as u32, 32));
        rest /= 32;
    }
    id
}
