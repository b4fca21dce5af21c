//! `ringway key`: makes keys for backends.

use ring::rand::{SecureRandom, SystemRandom};
use ringway::{
    auth::{key_digest, spell_key},
    config::cli::MakeKeyArgs,
};

/// A key, and the lines that make it known to the gateway.
pub(super) fn make(args: &MakeKeyArgs) -> Result<String, Box<dyn std::error::Error>> {
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| "the system has no random numbers")?;
    let key = spell_key(&random);
    let hash: String = key_digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let list = |texts: &[String]| {
        texts.iter().map(|text| toml::Value::from(text.as_str()).to_string()).collect::<Vec<_>>().join(", ")
    };
    let mut text =
        format!("Key, for the backend; it is not shown again:\n{key}\n\nFor the configuration file:\n");
    text += "[[api.keys]]\n";
    text += &format!("name = {}\n", toml::Value::from(args.name.as_str()));
    text += &format!("hash = \"{hash}\"\n");
    text += &format!("scopes = [{}]\n", list(&args.scopes));
    text += &format!("tenants = [{}]\n", list(&args.tenants));
    Ok(text)
}
