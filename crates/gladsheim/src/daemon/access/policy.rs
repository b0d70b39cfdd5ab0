//! Which role each method needs. A method that is missing here needs the highest one, and fails a test.

use crate::hall::Role::{self, Control, Read};

/// Every method that the daemon serves.
const NEEDED: [(&str, Role); 32] = [
    ("gladsheim.v1.GladsheimService/LoadService", Control),
    ("gladsheim.v1.GladsheimService/StartService", Control),
    ("gladsheim.v1.GladsheimService/StopService", Control),
    ("gladsheim.v1.GladsheimService/ForceKillService", Control),
    ("gladsheim.v1.GladsheimService/RestartService", Control),
    ("gladsheim.v1.GladsheimService/SignalService", Control),
    ("gladsheim.v1.GladsheimService/ResetService", Control),
    ("gladsheim.v1.GladsheimService/SetMaintenance", Control),
    ("gladsheim.v1.GladsheimService/GetServiceStatus", Read),
    ("gladsheim.v1.GladsheimService/DescribeService", Read),
    ("gladsheim.v1.GladsheimService/ListServices", Read),
    ("gladsheim.v1.GladsheimService/GetHealth", Read),
    // It runs a program or sends a request, and its verdict counts.
    ("gladsheim.v1.GladsheimService/CheckHealth", Control),
    ("gladsheim.v1.GladsheimService/GetResourceUsage", Read),
    ("gladsheim.v1.GladsheimService/GetSystemUsage", Read),
    ("gladsheim.v1.GladsheimService/GetResourceLimits", Read),
    ("gladsheim.v1.GladsheimService/SetResourceLimits", Control),
    ("gladsheim.v1.GladsheimService/GetStatistics", Read),
    ("gladsheim.v1.GladsheimService/WaitService", Read),
    ("gladsheim.v1.GladsheimService/WatchEvents", Read),
    ("gladsheim.v1.GladsheimService/WatchHealth", Read),
    ("gladsheim.v1.GladsheimService/StreamLogs", Read),
    ("gladsheim.v1.GladsheimService/BringUp", Control),
    // Also a dry run: it reads what the file says of everybody.
    ("gladsheim.v1.GladsheimService/Reload", Control),
    ("gladsheim.v1.GladsheimService/Shutdown", Control),
    ("gladsheim.v1.GladsheimService/Upgrade", Control),
    ("gladsheim.v1.GladsheimService/GetDaemon", Read),
    ("gladsheim.v1.GladsheimService/SetLogLevel", Control),
    ("grpc.health.v1.Health/Check", Read),
    ("grpc.health.v1.Health/Watch", Read),
    (
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Read,
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Read,
    ),
];

/// The role that a call of the method at this path (`/PACKAGE.SERVICE/METHOD`) needs.
pub(super) fn needed(path: &str) -> Role {
    let method = path.strip_prefix('/').unwrap_or(path);
    let found = NEEDED.iter().find(|(known, _)| *known == method);
    found.map_or(Control, |(_, role)| *role)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// All methods of a compiled set of .proto files.
    fn methods(set: &[u8]) -> Vec<String> {
        let set = FileDescriptorSet::decode(set).unwrap();
        let services = set.file.iter().flat_map(|file| {
            let named = |service| (file.package().to_owned(), service);
            file.service.iter().map(named)
        });
        let method = |(package, service): (String, &prost_types::ServiceDescriptorProto)| {
            let prefix = format!("{package}.{}", service.name());
            let names = service.method.iter();
            names
                .map(|method| format!("{prefix}/{}", method.name()))
                .collect::<Vec<_>>()
        };
        services.flat_map(method).collect()
    }

    #[test]
    fn every_method_that_is_served_has_its_role_and_no_other_has() {
        let served: BTreeSet<_> = [
            gladsheim_proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ]
        .into_iter()
        .flat_map(methods)
        .collect();
        let known: BTreeSet<_> = NEEDED.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(known, served);
    }

    #[test]
    fn what_nobody_knows_needs_control() {
        for path in ["", "/", "/x", "/gladsheim.v1.GladsheimService/Brew"] {
            assert_eq!(needed(path), Control, "{path}");
        }
        assert_eq!(
            needed("/gladsheim.v1.GladsheimService/GetServiceStatus"),
            Read
        );
    }
}
