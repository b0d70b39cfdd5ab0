//! The loader under its contract: each method is the inherent one of the same name.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    AdoptOptions, CommandEnd, Loaded, LogQuery, LogStream, ProcessEvent, ServiceLoader,
    ServiceLoaderApi, ServiceLoaderError, ServiceProcess, Signal, StartOptions,
};

#[async_trait]
impl ServiceLoaderApi for ServiceLoader {
    async fn start_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        self.start_service(service_name, options).await
    }

    async fn launch_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        self.launch_service(service_name, options).await
    }

    async fn adopt_service(
        &self,
        service_name: &str,
        options: AdoptOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        self.adopt_service(service_name, options).await
    }

    async fn end_leftovers(&self) -> Result<(), ServiceLoaderError> {
        self.end_leftovers().await
    }

    async fn stop_service(
        &self,
        service_name: &str,
        timeout: Duration,
    ) -> Result<(), ServiceLoaderError> {
        self.stop_service(service_name, timeout).await
    }

    async fn force_kill_service(&self, service_name: &str) -> Result<(), ServiceLoaderError> {
        self.force_kill_service(service_name).await
    }

    async fn restart_service(
        &self,
        service_name: &str,
        options: StartOptions,
    ) -> Result<ServiceProcess, ServiceLoaderError> {
        self.restart_service(service_name, options).await
    }

    async fn run_command(
        &self,
        service_name: &str,
        command: &[String],
    ) -> Result<CommandEnd, ServiceLoaderError> {
        self.run_command(service_name, command).await
    }

    fn get_process(&self, service_name: &str) -> Option<ServiceProcess> {
        self.get_process(service_name)
    }

    fn is_running(&self, service_name: &str) -> bool {
        self.is_running(service_name)
    }

    fn signal_service(&self, service_name: &str, signal: Signal) -> Result<(), ServiceLoaderError> {
        self.signal_service(service_name, signal)
    }

    async fn load_service(
        &self,
        service_name: &str,
        sha256: Option<String>,
    ) -> Result<Loaded, ServiceLoaderError> {
        self.load_service(service_name, sha256).await
    }

    fn set_service_paths(&self, service_paths: HashMap<String, PathBuf>) {
        self.set_service_paths(service_paths)
    }

    fn containment(&self) -> &'static str {
        self.containment()
    }

    fn read_log(
        &self,
        service_name: &str,
        query: LogQuery,
    ) -> Result<LogStream, ServiceLoaderError> {
        self.read_log(service_name, query)
    }

    async fn hand_over(&self) -> Result<(), ServiceLoaderError> {
        self.hand_over().await
    }

    fn go_on(&self) {
        self.go_on();
    }

    async fn close(&self) {
        self.close().await;
    }

    fn subscribe(&self) -> broadcast::Receiver<ProcessEvent> {
        self.subscribe()
    }
}
