import ClusterCore
import Generation
import Tokenizer

/// What the coordinator keeps for its clients: which request answers which key, and the text of each answer.
///
/// Holds no socket and no clock; the shell carries out what it returns.
struct ClientDesk {
    private struct Choice {
        var text: AnswerText
        /// Tokens sent to the client.
        var tokenCount: Int32 = 0

        /// - Returns: the tokens that belong to the answer, and the text that they complete.
        mutating func append(_ tokens: [ScoredToken]) -> (tokens: [ScoredToken], text: String) {
            var written = ""
            for (index, token) in tokens.enumerated() {
                // One token at a time, so that a stop string ends the answer at the same token whatever a message holds.
                written += text.append(token.token)
                guard text.isStopped else { continue }
                tokenCount += Int32(index + 1)
                return (Array(tokens[...index]), written)
            }
            tokenCount += Int32(tokens.count)
            return (tokens, written)
        }
    }

    private struct Answer {
        var key: ClientRequestKey
        var choices: [Choice]
        /// Choices that have not ended.
        var openCount: Int
    }

    private var answers: [RequestID: Answer] = [:]
    private var openCounts: [ClientID: Int] = [:]

    /// What to tell a client, or the scheduler.
    enum Outcome {
        case send(ClientRequestKey, ServerMessage)
        /// A stop string was met in this choice's text.
        case stopMatched(RequestID, choice: Int32)
    }

    /// Clients that wait for something.
    var clientsWithOpenRequests: Dictionary<ClientID, Int>.Keys { openCounts.keys }

    /// - Parameter text: that of each choice begins so.
    mutating func open(_ request: RequestID, for key: ClientRequestKey, text: AnswerText, choices: Int32 = 1) {
        answers[request] = Answer(
            key: key, choices: Array(repeating: Choice(text: text), count: Int(choices)), openCount: Int(choices))
        openCounts[key.client, default: 0] += 1
    }

    func emitPrompt(_ request: RequestID, first: Int32, tokens: [ScoredToken]) -> [Outcome] {
        guard let key = answers[request]?.key else { return [] }
        return [.send(key, .prompt(key: key.key, first: first, tokens))]
    }

    /// Tokens `firstIndex …` of a choice.
    mutating func emit(_ request: RequestID, choice: Int32, firstIndex: Int32, tokens: [ScoredToken]) -> [Outcome] {
        guard let place = answers.index(forKey: request), !answers.values[place].choices[Int(choice)].text.isStopped else { return [] }
        let (key, count) = (answers.values[place].key, answers.values[place].choices[Int(choice)].tokenCount)
        precondition(count == firstIndex, "\(request): token \(firstIndex) after \(count)")
        // In its place: a copy of a text is dear beside a token.
        let (sent, text) = answers.values[place].choices[Int(choice)].append(tokens)
        let message = ServerMessage.tokens(
            key: key.key, choice: choice, firstIndex: firstIndex, tokens: sent, text: text)
        let isStopped = answers.values[place].choices[Int(choice)].text.isStopped
        return isStopped ? [.send(key, message), .stopMatched(request, choice: choice)] : [.send(key, message)]
    }

    mutating func finish(_ request: RequestID, choice: Int32, _ summary: RequestSummary) -> [Outcome] {
        guard let key = answers[request]?.key, var own = answers[request]?.choices[Int(choice)] else { return [] }
        let rest = own.text.finish()
        let completion = Completion(
            reason: own.text.isStopped ? .stop : summary.reason, text: rest, tokenCount: own.tokenCount,
            cachedTokenCount: summary.cachedTokenCount, timings: summary.timings, prefillWorker: summary.prefillWorker,
            decodeWorker: summary.decodeWorker, attempts: summary.attempts)
        answers[request]?.openCount -= 1
        if answers[request]?.openCount == 0 { _ = close(request) }
        return [.send(key, .finished(key: key.key, choice: choice, completion))]
    }

    mutating func fail(_ request: RequestID, _ failure: RequestFailure) -> [Outcome] {
        guard let answer = close(request) else { return [] }
        return [.send(answer.key, .failed(key: answer.key.key, failure))]
    }

    private mutating func close(_ request: RequestID) -> Answer? {
        guard let answer = answers.removeValue(forKey: request) else { return nil }
        let client = answer.key.client
        openCounts[client] = openCounts[client].flatMap { $0 > 1 ? $0 - 1 : nil }
        return answer
    }
}
