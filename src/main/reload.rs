//! SIGHUP: the configuration is loaded again from where it came from, and taken or refused as a whole.
//!
//! Invariant: everything that can fail has been done before anything is changed.

use std::{fmt, sync::Arc};

use ringway::{
    config::{
        self, Loaded,
        assemble::{self, Machine},
        cli::ServeArgs,
    },
    engine::Policy,
    shell::log::{Log, LogFilter},
};
use tracing::{error, info, warn};

/// What a reload begins from.
pub(super) struct Reload<'a> {
    args: &'a ServeArgs,
    log: &'a Log,
    /// What the node has started with: what needs a restart still has these values.
    started: &'a Loaded,
    running: Loaded,
    machine: Machine,
}

/// Why nothing was changed, a line for each reason.
struct Refused(Vec<String>);

impl Refused {
    fn because(reason: impl fmt::Display) -> Self {
        Self(vec![reason.to_string()])
    }
}

impl<'a> Reload<'a> {
    pub(super) fn new(args: &'a ServeArgs, log: &'a Log, started: &'a Loaded, machine: Machine) -> Self {
        Self { args, log, started, running: started.clone(), machine }
    }

    /// What every shard is to hold from now on; `None` when the configuration is wrong, and the old one goes on.
    /// The log says which it was, and why.
    pub(super) fn reload(&mut self) -> Option<Arc<Policy>> {
        match self.try_reload() {
            Ok(policy) => Some(policy),
            Err(Refused(reasons)) => {
                for reason in &reasons {
                    error!(reason = reason.as_str(), "SIGHUP: the configuration is wrong");
                }
                error!(errors = reasons.len(), "SIGHUP: nothing was changed");
                None
            }
        }
    }

    /// A new configuration must be good for the node as it runs: what needs a restart still has the old values.
    fn check_beside_what_is_fixed(&self, new: &Loaded) -> Result<(), Refused> {
        if self.started.file.is_some() && new.file.is_none() {
            return Err(Refused::because("the file that the node has started with is not there"));
        }
        if new.settings.server.production != self.started.settings.server.production {
            return Err(Refused::because(
                "server.production needs a restart, and the defaults of other settings hang on it",
            ));
        }
        let broken = new.broken_beside(self.started);
        if broken.is_empty() {
            Ok(())
        } else {
            Err(Refused(broken.iter().map(ToString::to_string).collect()))
        }
    }

    fn try_reload(&mut self) -> Result<Arc<Policy>, Refused> {
        let mut new = config::load_process(self.args)
            .map_err(|errors| Refused(errors.0.iter().map(ToString::to_string).collect()))?;
        self.check_beside_what_is_fixed(&new)?;
        new.keep_secret_of(&self.running);
        let machine = Machine { hand_out_tokens: new.secret_is_generated(), ..self.machine };
        let policy = assemble::policy(&new.settings, &machine).map_err(Refused::because)?;
        let filter = LogFilter::parse(&new.settings.log.level).map_err(Refused::because)?;

        self.log.set_filter(filter);
        let changes = config::changes(self.started, &self.running, &new);
        let (live, fixed): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.is_live);
        for change in &live {
            info!("SIGHUP: changed: {change}");
        }
        for change in &fixed {
            warn!("SIGHUP: needs a restart: {change}");
        }
        info!(changed = live.len(), need_restart = fixed.len(), "SIGHUP: the configuration was loaded again");
        self.running = new;
        Ok(Arc::new(policy))
    }
}
