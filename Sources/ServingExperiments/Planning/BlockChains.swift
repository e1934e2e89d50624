import Generation

/// Names for the whole blocks of prompts: two blocks have the same name if they hold the same tokens behind the same ones. The last
/// token of a prompt belongs to no such block, because it has to be computed in any case.
struct BlockChains {
    private struct Link: Hashable {
        var parent: Int?
        var tokens: ArraySlice<TokenID>
    }

    /// For each prompt the names of its blocks.
    private(set) var chains: [[Int]] = []
    /// For each name how many prompts have it.
    private(set) var users: [Int] = []

    init(_ prompts: [[TokenID]], blockSize: Int) {
        var names: [Link: Int] = [:]
        for prompt in prompts {
            var chain: [Int] = []
            for start in stride(from: 0, to: (prompt.count - 1) / blockSize * blockSize, by: blockSize) {
                let link = Link(parent: chain.last, tokens: prompt[start..<start + blockSize])
                let name = names[link] ?? users.count
                if name == users.count {
                    names[link] = name
                    users.append(0)
                }
                users[name] += 1
                chain.append(name)
            }
            chains.append(chain)
        }
    }
}
