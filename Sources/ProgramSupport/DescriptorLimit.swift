import Foundation

/// How many descriptors this process may have open.
public enum DescriptorLimit {
    /// Raises it to what the system allows: every connection takes one, and the usual 1,024 are soon gone.
    public static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
